"""Run `python3 -m biolayer`."""

import sys

from biolayer import interpreter

interpreter.require("httpx")
interpreter.require("pydantic")

from biolayer.cli import main

sys.exit(main())
