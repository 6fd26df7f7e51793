"""Commit events at a steady rate, as the service does: a few in each transaction, then a wake-up.

Print, as JSON, when the commit of each was requested (`time.time()`). The time is read before the
statement is sent: what is measured from it includes the commit itself.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from uuid import UUID

from apps.base import rows
from apps.base.wake import wake
from bench import due

TICK_SECONDS = 0.01


def announce(
    *, organisation_id: UUID, origins: Iterator[str], rate: float, seconds: float
) -> dict[str, float]:
    """Commit events for `seconds`. Return when each webhook id was committed."""
    committed_at: dict[str, float] = {}
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        count = int(rate * elapsed) - len(committed_at)
        if count > 0:
            ids, changes = due.callback_events(
                organisation_id=organisation_id, origins=origins, count=count
            )
            committed_at |= dict.fromkeys(ids, time.time())
            rows.write(changes)
            wake("deliveries")
        time.sleep(TICK_SECONDS)
    return committed_at


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--organisation", type=UUID, required=True)
    options.add_argument("--origins", type=json.loads, required=True)
    options.add_argument("--rate", type=float, required=True, help="events a second")
    options.add_argument("--seconds", type=float, required=True)
    arguments = options.parse_args()

    committed_at = announce(
        organisation_id=arguments.organisation,
        origins=itertools.cycle(arguments.origins),
        rate=arguments.rate,
        seconds=arguments.seconds,
    )
    print(json.dumps(committed_at))


if __name__ == "__main__":
    main()
