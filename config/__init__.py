"""How the rooms are put together and run: settings, wiring, processes."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
