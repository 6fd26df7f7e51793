"""Reviews of final runs: verdicts, deadlines and routing at the same time."""

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction

from apps.agents.services import move_reviews
from apps.base import clock
from apps.operations.models import LogEntry, RunReview
from apps.reviews.models import Review
from apps.tasks.models import RUN_FINAL, Run
from tests.agent_steps import SESSIONS, Agent
from tests.concurrency.together import queued_up, together
from tests.factories import Caller, House
from tests.operator_steps import Desk, desk_of
from tests.probes import assert_events_are_gap_free, assert_loads_are_true


def another(desk: Desk) -> Desk:
    """Return the same key with a client of its own."""
    return Desk(Caller(desk.caller.key))


def completed(desk: Desk, agent: Agent) -> tuple[str, str]:
    task_id = desk.task()["id"]
    desk.started(task_id)
    run_id = agent.claimed()["run"]["id"]
    assert agent.on(run_id, "complete", result={}).status_code == 200
    return task_id, run_id


def ask(desk: Desk, run_id: str) -> Any:
    return another(desk).post(f"/task-runs/{run_id}/reviews")


def asked(desk: Desk, run_id: str) -> str:
    answer = ask(desk, run_id)
    assert answer.status_code == 201, answer.content
    review_id: str = answer.json()["review"]["review_id"]
    return review_id


def say(desk: Desk, run_id: str, review_id: str, **said: Any) -> int:
    known = {"outcome": "approved", "confidence": 1, "reason": "Fine", "delivery_id": "d-1"}
    body = {"run_id": run_id, "verdict": {**known, **said}}
    return int(another(desk).post(f"/task-reviews/{review_id}/verdict", **body).status_code)


def outcomes(review_id: str) -> list[str]:
    """Return the outcomes that the log tells of a review."""
    entries = LogEntry.objects.filter(type="task.run_review_recorded", payload__review_id=review_id)
    return [entry.payload["outcome"] for entry in entries]


REJECTED = {"outcome": "rejected", "missing_work": ["Name it."]}


def test_two_verdicts_at_once__one_is_recorded(house: House) -> None:
    desk = desk_of(house)
    _, run_id = completed(desk, desk.agent())
    review_id = asked(desk, run_id)
    verdicts = [
        partial(say, desk, run_id, review_id, delivery_id="d-1"),
        partial(say, desk, run_id, review_id, delivery_id="d-2", **REJECTED),
        partial(say, desk, run_id, review_id, delivery_id="d-3", outcome="blocked"),
    ]
    assert sorted(together(*verdicts)) == [200, 409, 409]
    assert len(outcomes(review_id)) == 1
    row = RunReview.objects.get()
    assert outcomes(review_id) == [row.outcome]
    assert Run.objects.exclude(status__in=RUN_FINAL).count() == (row.outcome == "rejected")
    assert_events_are_gap_free()


def test_one_verdict_twice_at_once__is_recorded_once(house: House) -> None:
    desk = desk_of(house)
    _, run_id = completed(desk, desk.agent())
    review_id = asked(desk, run_id)
    assert together(*[partial(say, desk, run_id, review_id, **REJECTED)] * 4) == [200] * 4
    assert outcomes(review_id) == ["rejected"]
    assert Run.objects.count() == 2
    assert_loads_are_true()


def test_a_verdict_beside_its_deadline__one_is_recorded(house: House) -> None:
    desk = desk_of(house)
    agent = desk.agent()
    seen: Counter[str] = Counter()
    for _ in range(8):
        _, run_id = completed(desk, agent)
        review_id = asked(desk, run_id)
        late = clock.now() + timedelta(hours=1)
        status, _ = together(partial(say, desk, run_id, review_id), partial(move_reviews, at=late))
        move_reviews(at=late)
        (outcome,) = outcomes(review_id)
        assert (status, outcome) in {(200, "approved"), (409, "timeout")}
        seen[outcome] += 1
    assert RunReview.objects.active().count() == 0
    assert sum(seen.values()) == 8


def test_a_verdict_that_waits__is_first(house: House) -> None:
    desk = desk_of(house)
    _, run_id = completed(desk, desk.agent())
    review_id = asked(desk, run_id)
    late = clock.now() + timedelta(hours=1)
    task_id = Review.of_runs.get().task_id
    call = partial(say, desk, run_id, review_id)
    with queued_up(call, behind="tasks_task", key=task_id) as calls:
        # The sweep waits for no task.
        assert together(partial(move_reviews, at=late)) == [0]
    assert calls[0].result() == 200
    assert move_reviews(at=late) == 0
    assert outcomes(review_id) == ["approved"]


def test_requests_at_once__make_one_review(house: House) -> None:
    desk = desk_of(house)
    _, run_id = completed(desk, desk.agent())
    answers = together(*[partial(ask, desk, run_id)] * 4)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["review"]["review_id"] for answer in answers}) == 1
    bound = LogEntry.objects.filter(type="task.run_review_bound")
    assert (Review.of_runs.count(), bound.count()) == (1, 1)


def test_reviews_routed_at_once__have_reviewers_of_their_own(house: House) -> None:
    desk = desk_of(house)
    agent = desk.agent()
    runs = [completed(desk, agent)[1] for _ in range(4)]
    for name in ("amy", "bob"):
        desk.agent(session_id=name, name=name)
    together(*[partial(ask, desk, run_id) for run_id in runs])
    # A session that was locked for an instant was passed over: another one was opened.
    bound = list(RunReview.objects.values_list("reviewer_session_id", flat=True))
    assert len(set(bound)) == 4
    assert "" not in bound


def test_a_locked_session__is_passed_over(house: House) -> None:
    desk = desk_of(house)
    _, run_id = completed(desk, desk.agent())
    desk.agent(session_id="amy", name="amy")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT FROM agents_agentsession WHERE session_id = 'amy' FOR UPDATE")
        (answer,) = together(partial(ask, desk, run_id))
    assert answer.json()["review"]["reviewer_session_id"] != "amy"


def test_a_rejection_beside_a_start__leaves_one_open_run(house: House) -> None:
    desk = desk_of(house)
    agent = desk.agent()
    for number in range(4):
        task_id, run_id = completed(desk, agent)
        review_id = asked(desk, run_id)
        start = partial(another(desk).post, f"/tasks/{task_id}/start")
        reject = partial(say, desk, run_id, review_id, **REJECTED)
        started, status = together(start, reject)
        assert (started.status_code, status) in {(201, 409), (201, 200), (409, 200)}
        assert Run.objects.exclude(status__in=RUN_FINAL).count() == 1, number
        open_run = Run.objects.exclude(status__in=RUN_FINAL).get()
        desk.post(f"/task-runs/{open_run.id}/cancel")
    assert_events_are_gap_free()


def test_a_reviewer_that_stops_beside_its_verdict__leaves_no_active_review(house: House) -> None:
    desk = desk_of(house)
    _, run_id = completed(desk, desk.agent())
    desk.agent(session_id="amy", name="amy")
    review_id = asked(desk, run_id)
    stop = partial(another(desk).caller.delete, f"{SESSIONS}/amy")
    stopped, status = together(stop, partial(say, desk, run_id, review_id))
    assert (stopped.status_code, status) == (204, 200)
    assert move_reviews() == 0
    assert outcomes(review_id) == ["approved"]
