"""Announces events at a steady rate, as the service does: each few of them in a small transaction,
then a hint to the worker. Prints, as JSON, when each was asked to be committed (`time.time()`).

The time is read before the statement is sent: what is measured from it includes the commit itself.
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
    asked: dict[str, float] = {}
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        count = int(rate * elapsed) - len(asked)
        if count > 0:
            ids, changes = due.told_callbacks(
                organisation_id=organisation_id, origins=origins, count=count
            )
            asked |= dict.fromkeys(ids, time.time())
            rows.write(changes)
            wake("deliveries")
        time.sleep(TICK_SECONDS)
    return asked


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--organisation", type=UUID, required=True)
    options.add_argument("--origins", type=json.loads, required=True)
    options.add_argument("--rate", type=float, required=True, help="events a second")
    options.add_argument("--seconds", type=float, required=True)
    said = options.parse_args()

    asked = announce(
        organisation_id=said.organisation,
        origins=itertools.cycle(said.origins),
        rate=said.rate,
        seconds=said.seconds,
    )
    print(json.dumps(asked))


if __name__ == "__main__":
    main()
