"""`python -m biolayer`."""

import sys

from biolayer.cli import main

sys.exit(main())
