"""How the rooms are put together and run: settings, wiring, processes."""

from biolayer import own_python

# `python3 -m config.processes` begins here.
own_python.require("celery")

from config.celery import app as celery_app

__all__ = ["celery_app"]
