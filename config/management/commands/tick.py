"""`manage.py tick`: the process that looks at the clock."""

from typing import Any

from django.core.management.base import BaseCommand

from config.ticker import Ticker


class Command(BaseCommand):
    help = "Wake what is due, once a second; drain it here when nobody else does."

    def handle(self, *args: Any, **options: Any) -> None:
        Ticker().run()
