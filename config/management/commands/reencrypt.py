"""`manage.py reencrypt`: seal every secret under the newest of `ENCRYPTION_KEYS`."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.webhooks.services import reencrypt


class Command(BaseCommand):
    help = (
        "Seal signing keys and callbacks' credentials under the newest of ENCRYPTION_KEYS. It may be"
        " stopped and run again. Afterwards the older keys may be taken out of ENCRYPTION_KEYS."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = reencrypt()
        self.stdout.write(f"{done.count} secrets sealed under the newest key")
        for row in done.unreadable:
            self.stderr.write(f"no key of ENCRYPTION_KEYS opens {row}")
        if done.unreadable:
            self.stderr.write(
                "Keep the old keys until these are gone, or bring back the key that made them."
            )
            sys.exit(1)
