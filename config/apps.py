"""Connect the apps once all of them are loaded."""

import gc

from django.apps import AppConfig


class Config(AppConfig):
    """Run the wiring at the start, and begin to collect garbage: config/settings ended it."""

    name = "config"

    def ready(self) -> None:
        from config import wiring

        wiring.connect()
        # All that was loaded stays, so that the garbage collector need not look at it again.
        gc.freeze()
        gc.enable()
