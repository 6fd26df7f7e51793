"""No offer overtakes an earlier task that fits the same worker: see bench/queue_order.py.

The judge is checked with logs that the tests write; then a real installation plays each scenario
with two seeds and is judged by its own event log.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.order_judge import SEEN_AT, Demand, Event, Profile, Verdict, judge
from bench.order_plays import SCENARIOS, Play, Scenario, played, prepare
from bench.queue_order import line_of
from tests.faults.installation import Installation, say

SEEDS = (1,)
FEWEST_OFFERS = 20
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NEXT = {
    "queued": "task.queued",
    "offered": "task.offered",
    "accepted": "task.accepted",
    "submitted": "task.submitted",
    "cancelled": "task.cancelled",
}

Log = list[Event]


# --- an installation ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plays() -> Iterator[Mapping[tuple[str, int], Play]]:
    """Yield the plays of one installation, by scenario and seed."""
    with Installation.running(workforce=False) as installation:
        made = prepare(installation, scenarios=SCENARIOS.values(), seeds=SEEDS)
        yield {(play.scenario.name, play.seed): play for play in made}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda one: one.name)
def test_no_offer_jumps_the_queue(
    plays: Mapping[tuple[str, int], Play], scenario: Scenario, seed: int
) -> None:
    verdict = played(plays[scenario.name, seed])
    say(line_of(scenario, verdict, seeds=1))
    assert verdict.offers > FEWEST_OFFERS, "too few offers to judge by"
    assert not verdict.jumps, "\n".join(map(str, verdict.jumps))


# --- the judge ------------------------------------------------------------------------------------


def test_judge__an_offer_to_the_earlier_task_is_no_jump() -> None:
    log = [
        *steps("early", (0, "queued"), (5, "offered", "ann")),
        *steps("late", (1, "queued"), (6, "offered", "ann")),
    ]
    verdict = judged(log)
    assert (verdict.tasks, verdict.offers, verdict.jumps) == (2, 2, [])


def test_judge__an_offer_to_a_later_task_is_a_jump_over_all_that_waited_before_it() -> None:
    log = [
        *steps("first", (0, "queued"), (7, "offered", "ann")),
        *steps("second", (1, "queued")),
        *steps("late", (2.5, "queued"), (5, "offered", "ann")),
    ]
    (jump,) = judged(log).jumps
    assert (jump.offer.task_id, jump.offer.worker_id) == ("late", "ann")
    assert (jump.worst_id, jump.seconds, jump.waited, jump.overtaken) == ("first", 2.5, 5, 2)


@pytest.mark.parametrize(
    ("urgency", "seconds"), [("critical", 3599), ("high", 899), ("normal", None), ("low", None)]
)
def test_judge__urgency_moves_a_place_ahead(urgency: str, seconds: float | None) -> None:
    log = [
        *steps("urgent", (1, "queued")),
        *steps("plain", (0, "queued"), (5, "offered", "ann")),
    ]
    jumps = judged(log, urgent=Demand(urgency=urgency)).jumps
    assert [jump.seconds for jump in jumps] == ([] if seconds is None else [seconds])


def test_judge__low_urgency_moves_a_place_back() -> None:
    log = [
        *steps("low", (0, "queued")),
        *steps("late", (899, "queued"), (905, "offered", "ann")),
        *steps("later", (901, "queued"), (905, "offered", "ann")),
    ]
    (jump,) = judged(log, low=Demand(urgency="low")).jumps
    assert (jump.offer.task_id, jump.worst_id, jump.seconds) == ("later", "low", 1)


def test_judge__a_place_is_kept_when_the_task_is_queued_again() -> None:
    log = [
        *steps("back", (0, "queued"), (1, "offered", "bob"), (3, "queued")),
        *steps("late", (2, "queued"), (5, "offered", "ann")),
    ]
    (jump,) = judged(log).jumps
    assert (jump.worst_id, jump.seconds, jump.waited) == ("back", 2, 2)


@pytest.mark.parametrize(
    "way",
    [
        pytest.param([(4.6, "queued")], id="queued a moment ago"),
        pytest.param([(0, "queued"), (5, "offered", "bob")], id="offered in the same batch"),
        pytest.param([(0, "queued"), (4, "offered", "bob"), (6, "queued")], id="offered just then"),
        pytest.param(
            [(0, "queued"), (3, "offered", "bob"), (4.7, "queued")], id="queued again a moment ago"
        ),
        pytest.param([(0, "queued"), (4, "cancelled")], id="cancelled before"),
        pytest.param(
            [(0, "queued"), (1, "offered", "ann"), (3, "queued")],
            id="offered to this worker before",
        ),
    ],
)
def test_judge__who_is_not_overtaken(way: list[tuple[Any, ...]]) -> None:
    log = [
        *steps("other", *way),
        *steps("late", (4.9, "queued"), (5, "offered", "ann")),
    ]
    assert judged(log).jumps == []


@pytest.mark.parametrize(
    "demand",
    [
        pytest.param(Demand(skills=("diving",)), id="skills"),
        pytest.param(Demand(trust_level=4), id="trust"),
        pytest.param(Demand(min_rating=4.5), id="rating"),
    ],
)
def test_judge__what_the_worker_may_not_do_is_not_overtaken(demand: Demand) -> None:
    log = [
        *steps("other", (0, "queued")),
        *steps("late", (2, "queued"), (5, "offered", "ann")),
    ]
    assert judged(log, other=demand).jumps == []
    assert len(judged(log, other=Demand(("phone",), trust_level=3, min_rating=4)).jumps) == 1


def test_judge__a_silent_event_does_not_end_a_wait() -> None:
    warned = {**steps("other", (0, "queued"))[0], "type": "task.sla_at_risk", "timestamp": time(3)}
    log = [
        *steps("other", (0, "queued")),
        {**warned, "previous_status": "queued"},
        *steps("late", (2, "queued"), (5, "offered", "ann")),
    ]
    (jump,) = judged(log).jumps
    assert (jump.worst_id, jump.waited) == ("other", 5)


@pytest.mark.parametrize(("seen", "jumps"), [(4, 1), (5.5, 0)])
def test_judge__what_was_committed_late_is_not_overtaken(seen: float, jumps: int) -> None:
    (queued,) = steps("other", (0, "queued"))
    log = [
        {**queued, SEEN_AT: (NOON + timedelta(seconds=seen)).timestamp()},
        *steps("late", (2, "queued"), (5, "offered", "ann")),
    ]
    assert len(judged(log).jumps) == jumps


def test_judge__delays_count_while_a_fitting_worker_is_free() -> None:
    # Given Ann, who has one unit, and Bob, who fits none of these tasks
    phone = Demand(("phone",))
    log = [
        *steps("one", (0, "queued"), (0.25, "offered", "ann"), (1, "accepted"), (3, "submitted")),
        *steps("two", (1, "queued"), (3.5, "offered", "ann"), (5, "queued")),
        *steps("three", (4, "queued"), (7, "offered", "ann")),
        # Ann is not free between the two offers, and an earlier offer to a worker does not count.
        *steps("four", (8, "queued"), (9, "offered", "bob")),
    ]
    verdict = judged(log, one=phone, two=phone, three=phone)
    assert verdict.delays == [0.25, 0.5, 2, 1]
    assert verdict.submitted == 1


# --- logs of the tests ----------------------------------------------------------------------------


def judged(log: Log, **demands: Demand) -> Verdict:
    """Judge a log of tasks with the given requirements. Ann can phone; Bob has no skills."""
    tasks = {event["task_id"]: Demand() for event in log} | demands
    ann = Profile(("phone",), trust_level=3, rating=4.0)
    bob = Profile((), trust_level=0, rating=1.0)
    return judge(log, demands=tasks, workers={"ann": ann, "bob": bob})


def steps(task_id: str, *ways: tuple[Any, ...]) -> Log:
    """Return a task's events: each way is the second, the status, and for an offer the worker."""
    log: Log = []
    for second, status, *workers in ways:
        log.append(
            {
                "task_id": task_id,
                "type": NEXT[status],
                "timestamp": time(second),
                "status": status,
                "previous_status": log[-1]["status"] if log else "created",
                "data": {"worker_id": workers[0]} if workers else {},
            }
        )
    return log


def time(second: float) -> str:
    return (NOON + timedelta(seconds=second)).isoformat()
