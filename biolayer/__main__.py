"""`python3 -m biolayer`."""

import sys

from biolayer import own_python

own_python.require("httpx")
own_python.require("pydantic")

from biolayer.cli import main

sys.exit(main())
