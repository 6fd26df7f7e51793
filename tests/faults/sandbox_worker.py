"""Run the drain of simulated workers repeatedly, for tests that kill it.

It runs with the settings of the test run, in the database that its command line names. It waits
within each transaction, so that a kill interrupts one.
"""

import sys
import time

import django

PAUSE_SECONDS = 0.004


def main() -> None:
    django.setup()

    from django.db import connection

    from apps.sandbox.services import simulation

    connection.settings_dict["NAME"] = sys.argv[1]
    generate = simulation.generated_output

    def slowly(task: object) -> object:
        time.sleep(PAUSE_SECONDS)
        return generate(task)  # type: ignore[arg-type]

    simulation.generated_output = slowly  # type: ignore[assignment]
    while True:
        simulation.take_due_steps()


if __name__ == "__main__":
    main()
