"""Seal every secret under the newest of `ENCRYPTION_KEYS`: `manage.py reencrypt`."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.base.reencryption import reencrypt


class Command(BaseCommand):
    """Seal every secret, and exit with code 1 if one cannot be opened."""

    help = (
        "Seal signing keys, callbacks' credentials and all other secrets under the newest of"
        " ENCRYPTION_KEYS. The"
        " command may be stopped and run again. Afterwards the older keys can be removed."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        result = reencrypt()
        self.stdout.write(f"{result.count} secrets sealed under the newest key")
        for row in result.unreadable:
            self.stderr.write(f"no key of ENCRYPTION_KEYS opens {row}")
        if result.unreadable:
            self.stderr.write(
                "Keep the old keys until these are deleted, or restore the key that sealed them."
            )
            sys.exit(1)
