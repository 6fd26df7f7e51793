"""Run the timers, the purges and the deletion of files, for tests and a bench that kill them.

They run with the settings of the caller, in the database that the command line names, and with the
size of batches that it may name.
"""

import sys
import time

import django


def main() -> None:
    django.setup()

    from django.db import connection

    from apps.tasks import services as tasks
    from apps.tasks.services.retention import purging
    from apps.timers import services as timers

    connection.settings_dict["NAME"] = sys.argv[1]
    if len(sys.argv) > 2:
        purging.BATCH = int(sys.argv[2])
        timers.CLAIM_SECONDS = 1
    while True:
        if not timers.fire_due() + tasks.purge_due() + tasks.delete_due_files():
            time.sleep(0.05)


if __name__ == "__main__":
    main()
