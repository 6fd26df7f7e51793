"""Test `Idempotency-Key`: a repeated POST has one effect and one response."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.accounts.services import issue_key
from apps.api.models import IdempotencyKey
from apps.api.services import delete_old_keys
from apps.matching.models import Offer
from apps.tasks.models import Evidence, Run, Task
from tests.api.expect import count, expect_problem, expect_unchanged, faults
from tests.api.steps import PNG, upload
from tests.concurrency.together import queued_up, together
from tests.factories import OUTPUT, Caller, House, contract, soon, worker_in

KEY = {"Idempotency-Key": "k-1"}


def is_replay(answer: Any) -> bool:
    return bool(answer.headers.get("Idempotency-Replayed") == "true")


def test_replay__gives_the_first_answer_again(house: House) -> None:
    first = house.alice.post("/v1/tasks", contract(), **KEY)
    with expect_unchanged():
        second = house.alice.post("/v1/tasks", contract(), **KEY)
    assert (first.status_code, is_replay(first)) == (201, False)
    assert (second.status_code, is_replay(second)) == (201, True)
    assert (second.json(), second["Location"]) == (first.json(), first["Location"])
    assert Task.objects.count() == IdempotencyKey.objects.count() == 1


def test_replay__returns_the_stored_response(house: House) -> None:
    first = house.alice.post("/v1/tasks", contract(), **KEY).json()
    house.alice.post(f"/v1/tasks/{first['task_id']}/cancel")
    assert house.alice.post("/v1/tasks", contract(), **KEY).json()["status"] == "created"


def test_replay__order_of_fields_is_no_difference(house: House) -> None:
    house.alice.post("/v1/tasks", contract(), **KEY)
    assert is_replay(house.alice.post("/v1/tasks", dict(reversed(contract().items())), **KEY))


def test_other_body__is_refused(house: House) -> None:
    house.alice.post("/v1/tasks", contract(), **KEY)
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(title="Another"), **KEY)
    expect_problem(answer, 422, "idempotency_key_reused")


def test_other_path__is_refused(house: House) -> None:
    one, other = house.task(), house.task()
    assert house.alice.post(f"/v1/tasks/{one.id}/cancel", {}, **KEY).status_code == 200
    with expect_unchanged():
        answer = house.alice.post(f"/v1/tasks/{other.id}/cancel", {}, **KEY)
    expect_problem(answer, 422, "idempotency_key_reused")


def test_key__is_the_callers_own(house: House) -> None:
    second = Caller(issue_key(organisation_id=house.organisation.id, name="Second"))
    answers = [
        caller.post("/v1/tasks", contract(), **KEY)
        for caller in (house.alice, second, house.charlie)
    ]
    assert [(answer.status_code, is_replay(answer)) for answer in answers] == [(201, False)] * 3
    assert Task.objects.count() == 3


def test_key__another_is_another_request(house: House) -> None:
    for number in range(3):
        house.alice.post("/v1/tasks", contract(), **{"Idempotency-Key": f"k-{number}"})
    assert Task.objects.count() == 3


@pytest.mark.parametrize(
    "key", ["k", "k" * 255, "with space", "8f14e45f-ceea-467f-a8c8-1d2b3c4d5e6f"]
)
def test_key__may_be_any_printable_text(house: House, key: str) -> None:
    for is_second in (False, True):
        answer = house.alice.post("/v1/tasks", contract(), **{"Idempotency-Key": key})
        assert (answer.status_code, is_replay(answer)) == (201, is_second)


@pytest.mark.parametrize("key", ["", "k" * 256, "caf\u00e9", "tab\there", "nul\x00"])
def test_key__that_cannot_be_kept(house: House, key: str) -> None:
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(), **{"Idempotency-Key": key})
    assert answer.status_code in (400, 422)
    expect_problem(answer, answer.status_code)


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 422), (contract(origin={"org_id": "00000000-0000-4000-8000-000000000000"}), 403)],
)
def test_refused__stores_nothing_and_can_be_mended(
    house: House, body: dict[str, Any], status: int
) -> None:
    with expect_unchanged():
        assert house.alice.post("/v1/tasks", body, **KEY).status_code == status
    mended = house.alice.post("/v1/tasks", contract(), **KEY)
    assert (mended.status_code, is_replay(mended)) == (201, False)


def test_refused__late_stores_nothing(house: House) -> None:
    """Refuse it inside the transaction, after the key was stored."""
    task = house.completed()
    with expect_unchanged():
        expect_problem(
            house.alice.post(f"/v1/tasks/{task.id}/cancel", {}, **KEY), 409, "illegal_transition"
        )


def test_natural_key__and_idempotency_key_go_together(house: House) -> None:
    body = contract(origin={"request_id": "IR-1"})
    first = house.alice.post("/v1/tasks", body)
    second = house.alice.post("/v1/tasks", body, **KEY)
    third = house.alice.post("/v1/tasks", body, **KEY)
    assert [answer.status_code for answer in (first, second, third)] == [201, 200, 200]
    assert [is_replay(answer) for answer in (first, second, third)] == [False, False, True]
    assert Task.objects.count() == 1


def test_forgotten__after_a_day(house: House) -> None:
    house.alice.post("/v1/tasks", contract(), **KEY)
    assert delete_old_keys(at=soon(hours=23)) == 0
    assert delete_old_keys(at=soon(hours=25)) == 1
    assert not is_replay(house.alice.post("/v1/tasks", contract(), **KEY))


# --- every POST ----------------------------------------------------------------------------

Setup = Callable[[House], tuple[Caller, str, dict[str, Any]]]


def _cancel(house: House) -> tuple[Caller, str, dict[str, Any]]:
    return house.alice, f"/v1/tasks/{house.started().task_id}/cancel", {"reason": "solved"}


def _offer(verb: str) -> Setup:
    return lambda house: (house.bob, f"/v1/offers/{house.offered().id}/{verb}", {})


def _run(verb: str, **body: Any) -> Setup:
    def made(house: House) -> tuple[Caller, str, dict[str, Any]]:
        run = house.accepted() if verb == "start" else house.started()
        return house.bob, f"/v1/runs/{run.id}/{verb}", {"epoch": run.epoch, **body}

    return made


POSTS: list[tuple[str, Setup]] = [
    ("create", lambda house: (house.alice, "/v1/tasks", contract())),
    ("cancel", _cancel),
    ("accept", _offer("accept")),
    ("decline", _offer("decline")),
    ("start", _run("start")),
    ("heartbeat", _run("heartbeat")),
    ("submit", _run("submit", output=OUTPUT)),
    ("release", _run("release")),
]


@pytest.mark.parametrize(("name", "setup"), POSTS, ids=[name for name, _ in POSTS])
def test_every_post__is_replayed(house: House, name: str, setup: Setup) -> None:
    caller, path, body = setup(house)
    first = caller.post(path, body, **KEY)
    with expect_unchanged():
        second = caller.post(path, body, **KEY)
    assert first.status_code in (200, 201), first.content
    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert (is_replay(first), is_replay(second)) == (False, True)


@pytest.mark.parametrize(("name", "setup"), POSTS, ids=[name for name, _ in POSTS])
def test_every_post__racing_with_itself_has_one_effect(
    house: House, name: str, setup: Setup
) -> None:
    caller, path, body = setup(house)
    before = count("events_event")
    answers = together(*[lambda: Caller(caller.key).post(path, body, **KEY)] * 6)
    kinds = Counter("replay" if is_replay(answer) else answer.status_code for answer in answers)
    assert kinds[200] + kinds[201] == 1, kinds
    assert kinds["replay"] + kinds[409] == 5, kinds
    for answer in answers:
        if answer.status_code == 409:
            expect_problem(answer, 409, "idempotency_in_flight")
    assert count("events_event") - before == (name != "heartbeat")
    assert IdempotencyKey.objects.count() == 1


def test_evidence__is_replayed(house: House) -> None:
    run = house.started()
    path = f"/v1/runs/{run.id}/evidence"

    def send(content: bytes) -> Any:
        form = {"file": SimpleUploadedFile("a.png", content), "epoch": str(run.epoch)}
        headers = {"Authorization": f"Bearer {house.bob.key}", **KEY}
        return house.bob.client.post(path, form, headers=headers)

    first, second, other = send(PNG), send(PNG), send(PNG + b"x")
    assert (first.status_code, second.json()) == (201, first.json())
    assert (is_replay(first), is_replay(second)) == (False, True)
    expect_problem(other, 422, "idempotency_key_reused")
    assert Evidence.objects.count() == 1


def test_evidence__without_a_key_is_another_file(house: House) -> None:
    run = house.started()
    assert [upload(house.bob, run, PNG).status_code for _ in range(2)] == [201, 201]
    assert Evidence.objects.count() == 2


def test_in_flight__second_call_is_refused_with_retry_after(house: House) -> None:
    run = house.started()

    def cancel() -> Any:
        return Caller(house.alice.key).post(f"/v1/tasks/{run.task_id}/cancel", {}, **KEY)

    with queued_up(cancel, behind="tasks_task", key=run.task_id) as waiting:
        (meanwhile,) = together(cancel)
        expect_problem(meanwhile, 409, "idempotency_in_flight")
    first = waiting[0].result()
    assert (first.status_code, is_replay(first)) == (200, False)
    assert is_replay(cancel())
    assert Task.objects.get(id=run.task_id).status == "cancelled"


def test_in_flight__holds_up_no_other_key(house: House) -> None:
    run = house.started()

    def cancel() -> Any:
        return Caller(house.alice.key).post(f"/v1/tasks/{run.task_id}/cancel", {}, **KEY)

    def create() -> Any:
        other = {"Idempotency-Key": "k-2"}
        return Caller(house.alice.key).post("/v1/tasks", contract(), **other)

    with queued_up(cancel, behind="tasks_task", key=run.task_id) as waiting:
        (made,) = together(create)
        assert made.status_code == 201
    assert waiting[0].result().status_code == 200


def test_replay__of_an_accept_after_the_run_was_lost(house: House) -> None:
    """Return the first response; the epoch, not the replay, protects the run."""
    offer = house.offered()
    worker_in(house.pool)
    path = f"/v1/offers/{offer.id}/accept"
    first = house.bob.post(path, {}, **KEY).json()["run"]
    house.bob.post(f"/v1/runs/{first['run_id']}/release", {"epoch": first["epoch"]})
    with expect_unchanged():
        again = house.bob.post(path, {}, **KEY)
    assert (again.json()["run"], is_replay(again)) == (first, True)
    with expect_unchanged():
        late = house.bob.post(f"/v1/runs/{first['run_id']}/start", {"epoch": first["epoch"]})
    expect_problem(late, 409, "lease_lost")
    assert Run.objects.get().status == "queued"
    assert Offer.objects.get().status == "accepted"


@pytest.mark.parametrize("depth", [100, 300, 900])
def test_key__with_a_deep_body_is_no_crash(house: House, depth: int) -> None:
    nested: Any = 0
    for _ in range(depth):
        nested = [nested]
    offer = house.offered()
    answer = house.bob.post(f"/v1/offers/{offer.id}/accept", {"deep": nested}, **KEY)
    assert answer.status_code in (200, 400, 422), answer.content
    if answer.status_code == 422:
        assert faults(answer)
