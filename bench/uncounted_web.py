"""The service's web process without roll-ups (rollups.py). For measurements only."""

import os

os.environ.setdefault("BIOLAYER_PROCESS", "web")

from bench import uncounted  # It removes the reaction.
from config.wsgi import application

__all__ = ["application", "uncounted"]
