"""Connect the apps once all of them are loaded."""

from django.apps import AppConfig


class Config(AppConfig):
    """Run the wiring at the start."""

    name = "config"

    def ready(self) -> None:
        from config import wiring

        wiring.connect()
