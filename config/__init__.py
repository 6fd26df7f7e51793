"""Configure and run the service: settings, wiring, processes."""

from biolayer import interpreter

# `python3 -m config.processes` starts here.
interpreter.require("celery")

from config.celery import app as celery_app

__all__ = ["celery_app"]
