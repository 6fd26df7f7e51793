"""Fold changes of figures repeatedly, for tests that kill it. Its batches are small."""

import sys

import django

BATCH = 11


def main() -> None:
    django.setup()

    from django.db import connection

    from apps.operations.services import fold_changes, folding

    connection.settings_dict["NAME"] = sys.argv[1]
    folding.BATCH = BATCH
    while True:
        fold_changes()


if __name__ == "__main__":
    main()
