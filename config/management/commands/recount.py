"""Count the open tasks, and correct the figures: `manage.py recount`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.operations.services import recount, recount_listed


class Command(BaseCommand):
    """Recount at once, whether it is due or not."""

    help = "Count the open tasks, and correct the figures of operators where they differ."

    def handle(self, *args: Any, **options: Any) -> None:
        drift = recount()
        if drift is None:
            raise CommandError("another process recounts at the moment")
        self.stdout.write(f"the figures were wrong by {drift} tasks" if drift else "no drift")
        if listed := recount_listed():
            self.stdout.write(f"{listed} of what is listed of tasks was wrong")
