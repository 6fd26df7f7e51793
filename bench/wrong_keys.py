"""Send 10,000 wrong keys: they must be limited, tell nothing by their time, and lock no key out.

1. Time: with the limit of failures lifted, keys with an unknown id and keys with a known id and a
   wrong secret are sent in turn over one connection. Of each part of the run the medians of both
   kinds are compared; the mean difference must be within three times its standard error.
2. Limits: with the default limit, all of them are sent again from one address, with a valid key
   from the same address in between.

Exit code 1 when the kinds differ by more than the noise, when more failures than the limit were
answered by 401, or when the valid key was refused once.
"""

import http.client
import os
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - after the path
from bench.servers import PRODUCT, Shape, free_port, prepared, serving  # noqa: E402

WRONG_KEYS = 10_000
# The keys of a kind in each part.
PART = 100
KINDS = ("unknown id", "wrong secret")
LIMIT = 300  # the default of BIOLAYER_FAILURE_LIMIT
# A difference below this is noise on any machine.
LEAST_NOISE = 0.01
VALID_EVERY = 100


class Run(NamedTuple):
    """Hold the seconds of each wrong key by its kind, the statuses, and how long all took."""

    seconds: dict[str, list[float]]
    statuses: Counter[int]
    valid_statuses: Counter[int]
    duration: float


def main() -> None:
    faults: list[str] = []
    with home_for_this_run(BIOLAYER_FAILURE_LIMIT="1000000000") as home:
        api_key = prepared("bench.product")["api_key"]
        faults += _judge_times(_run(home, api_key))
        os.environ["BIOLAYER_FAILURE_LIMIT"] = str(LIMIT)
        faults += _judge_limits(_run(home, api_key))
    if faults:
        sys.exit("\n".join(faults))


def _run(home: Path, api_key: str) -> Run:
    port = free_port()
    command = Shape().command(PRODUCT, port=port)
    with serving(command, port=port, log=home / "logs" / "web.log"):
        return _send_all(http.client.HTTPConnection("127.0.0.1", port, timeout=30), api_key)


def _send_all(connection: http.client.HTTPConnection, api_key: str) -> Run:
    from apps.accounts.keys import KeyText, new_key, parse_key

    valid = parse_key(api_key)
    assert valid is not None
    for _ in range(200):
        _send(connection, api_key)
    run = Run({kind: [] for kind in KINDS}, Counter(), Counter(), time.monotonic())
    for number in range(WRONG_KEYS):
        kind = KINDS[number % 2]
        wrong = new_key()
        if kind == "wrong secret":
            wrong = KeyText(valid.id, wrong.secret)
        status, seconds = _send(connection, str(wrong))
        run.seconds[kind].append(seconds)
        run.statuses[status] += 1
        if number % VALID_EVERY == 0:
            run.valid_statuses[_send(connection, api_key)[0]] += 1
    return run._replace(duration=time.monotonic() - run.duration)


def _send(connection: http.client.HTTPConnection, key: str) -> tuple[int, float]:
    began = time.perf_counter()
    connection.request("GET", "/v1/pools", headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    response.read()
    return response.status, time.perf_counter() - began


def _judge_times(run: Run) -> list[str]:
    for kind, seconds in run.seconds.items():
        tail = statistics.quantiles(seconds, n=100)[98]
        median = statistics.median(seconds)
        print(f"{kind:<14}{median * 1000:>8.3f} ms median{tail * 1000:>8.3f} ms p99")
    differences = [_difference(run, start) for start in range(0, WRONG_KEYS // 2, PART)]
    mean = statistics.mean(differences)
    noise = 3 * statistics.stdev(differences) / len(differences) ** 0.5
    print(f"a wrong secret takes {mean:+.2%}, with a noise of {noise:.2%}")
    faults = []
    if abs(mean) > max(noise, LEAST_NOISE):
        faults.append("the two kinds of wrong keys differ in time")
    if run.statuses != {401: WRONG_KEYS}:
        faults.append(f"not every wrong key was refused by 401: {run.statuses}")
    return faults


def _difference(run: Run, start: int) -> float:
    """Return how much longer a wrong secret takes, as a share, in one part of the run."""
    unknown, wrong = (statistics.median(run.seconds[kind][start : start + PART]) for kind in KINDS)
    return wrong / unknown - 1


def _judge_limits(run: Run) -> list[str]:
    allowed = LIMIT * (1 + run.duration / 60) + 1
    print(
        f"{WRONG_KEYS:,} wrong keys in {run.duration:.0f} s: {run.statuses[401]} by 401,"
        f" {run.statuses[429]} by 429 (limit {LIMIT} at once and {LIMIT} a minute)"
    )
    print(f"the valid key of the same address: {dict(run.valid_statuses)}")
    faults = []
    if run.statuses[401] > allowed or run.statuses[401] + run.statuses[429] != WRONG_KEYS:
        faults.append("the limit of failures did not hold")
    if set(run.valid_statuses) != {200}:
        faults.append("a valid key was locked out")
    return faults


if __name__ == "__main__":
    main()
