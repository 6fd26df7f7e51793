"""Wires the rooms together once all of them are loaded."""

from django.apps import AppConfig


class Config(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import wiring

        wiring.connect()
