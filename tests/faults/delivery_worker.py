"""Run a deliveries worker for tests that kill it: only the drain, again and again.

It uses the settings of the test run, and the database that its command line names.
"""

import sys
import time

import django

PAUSE_SECONDS = 0.02


def main() -> None:
    django.setup()

    from django.db import connection

    from apps.webhooks import services

    connection.settings_dict["NAME"] = sys.argv[1]
    while True:
        services.deliver_due(budget_seconds=None)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
