"""Run the timers' drain repeatedly, for tests that kill it.

It runs with the settings of the test run, in the database that its command line names. Its batches
are small, so that a kill interrupts one, and its claims short, so that the next worker need not
wait for them.
"""

import sys

import django

BATCH = 10
CLAIM_SECONDS = 1


def main() -> None:
    django.setup()

    from django.db import connection

    from apps.timers import services

    connection.settings_dict["NAME"] = sys.argv[1]
    services.BATCH, services.CLAIM_SECONDS = BATCH, CLAIM_SECONDS
    while True:
        services.fire_due()


if __name__ == "__main__":
    main()
