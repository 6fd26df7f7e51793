"""Test the thread of a task: who may read and write, and what the log has of it."""

from typing import Any

import pytest

from apps.accounts.models import Member
from apps.accounts.scopes import Role, Scope
from apps.accounts.selectors.people import principal_of_member
from apps.accounts.services import issue_key
from apps.base import clock
from apps.events.models import Event
from apps.matching.services import match_queued
from apps.pools.services import provision_pool
from apps.tasks import selectors, services
from apps.tasks.models import Message, Run, Task
from apps.tasks.services import messages as service
from apps.webhooks.models import Delivery
from apps.webhooks.models import Message as WebhookMessage
from biolayer import chain
from biolayer.errors import NotFound, ScopeMissing
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.steps import act
from tests.api.webhook_steps import made
from tests.factories import OUTPUT, Caller, House, member_of, worker_in


def post(caller: Caller, task_id: Any, text: str = "Which owner?", **headers: str) -> Any:
    return caller.post(f"/v1/tasks/{task_id}/messages", {"text": text}, **headers)


def thread(caller: Caller, task_id: Any) -> list[dict[str, Any]]:
    answer = caller.get(f"/v1/tasks/{task_id}/messages")
    assert answer.status_code == 200, answer.content
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def test_thread__has_both_sides_in_order(house: House) -> None:
    run = house.accepted()
    asked = post(house.bob, run.task_id, "Which owner?")
    assert asked.status_code == 201
    post(house.alice, run.task_id, "The first. ä\n")
    post(house.bob, run.task_id, "Thanks")
    messages = thread(house.alice, run.task_id)
    assert messages == thread(house.bob, run.task_id)
    assert messages[0] == asked.json()
    assert [(m["author_kind"], m["author_name"], m["text"]) for m in messages] == [
        ("worker", "Bob Ashdown", "Which owner?"),
        ("requester", "Alice's backend", "The first. ä\n"),
        ("worker", "Bob Ashdown", "Thanks"),
    ]


def test_thread__is_read_by_pages(house: House) -> None:
    task = house.task()
    for number in range(5):
        post(house.alice, task.id, str(number))
    path, texts = f"/v1/tasks/{task.id}/messages?limit=2", []
    while path:
        page = house.alice.get(path).json()
        texts += [message["text"] for message in page["data"]]
        cursor = page["next_cursor"]
        path = f"/v1/tasks/{task.id}/messages?limit=2&cursor={cursor}" if cursor else ""
    assert texts == ["0", "1", "2", "3", "4"]


def test_message__is_an_event_without_its_text(house: House) -> None:
    run = house.started()
    before = Task.objects.get(id=run.task_id)
    message = post(house.bob, run.task_id, "secret words").json()
    task = Task.objects.get(id=run.task_id)
    assert (task.version, task.status) == (before.version + 1, before.status)
    assert task.changed_at == before.changed_at
    log = house.alice.get(f"/v1/tasks/{task.id}/events").json()["data"]
    assert chain.first_broken(log) is None
    assert (log[-1]["type"], log[-1]["sequence"]) == ("task.message", task.version)
    assert log[-1]["actor"] == {"kind": "worker", "id": str(house.bobs_worker.id)}
    assert log[-1]["data"] == {
        "message_id": message["message_id"],
        "author_kind": "worker",
        "worker_id": str(house.bobs_worker.id),
    }
    stored = [*Event.objects.values_list("data"), *WebhookMessage.objects.values_list("body")]
    assert not any("secret words" in str(row) for row in stored)


def test_message__of_the_caller_names_no_worker(house: House) -> None:
    task = house.task()
    message = post(house.alice, task.id).json()
    data = Event.objects.get(type="task.message").data
    assert data == {"message_id": message["message_id"], "author_kind": "requester"}


@pytest.mark.parametrize(("types", "count"), [(["task.*"], 0), (["task.message"], 1)])
def test_message__is_silent(house: House, types: list[str], count: int) -> None:
    endpoint = made(house.alice, event_types=types)
    task = house.task()
    post(house.alice, task.id)
    sent = Delivery.objects.filter(destination_id=endpoint["endpoint_id"])
    assert sent.filter(event_type="task.message").count() == count


def test_message__twice_with_a_key_is_one(house: House) -> None:
    task = house.task()
    first, second = (post(house.alice, task.id, **{"Idempotency-Key": "a"}) for _ in range(2))
    assert (second.status_code, second.json()) == (201, first.json())
    assert second["Idempotency-Replayed"] == "true"
    assert Message.objects.count() == 1


# --- who --------------------------------------------------------------------------------------


def test_worker__before_it_accepts_may_not(house: House) -> None:
    offer = house.offered()
    with expect_unchanged():
        expect_problem(post(house.bob, offer.task_id), 404, "not_found")
        expect_problem(house.bob.get(f"/v1/tasks/{offer.task_id}/messages"), 404, "not_found")


def test_worker__that_gave_the_task_back_may(house: House) -> None:
    run = house.started()
    act(house.bob, run, "release")
    assert post(house.bob, run.task_id, "I left the key there").status_code == 201
    _, carol = worker_in(house.pool)
    expect_problem(post(carol, run.task_id), 404, "not_found")
    assert match_queued() == 1
    (offer,) = carol.get("/v1/offers").json()["data"]
    carol.post(f"/v1/offers/{offer['offer_id']}/accept")
    assert [message["text"] for message in thread(carol, run.task_id)] == ["I left the key there"]
    assert post(carol, run.task_id).json()["author_kind"] == "worker"


def test_worker__of_another_organisation_may_not(house: House) -> None:
    run = house.accepted()
    _, stranger = worker_in(house.strangers_pool)
    for caller in (stranger, house.charlie):
        with expect_unchanged():
            expect_problem(post(caller, run.task_id), 404, "not_found")
            answer = caller.get(f"/v1/tasks/{run.task_id}/messages")
            expect_problem(answer, 404, "not_found")


def keyed(house: House, *scopes: Scope, role: Role = Role.EDITOR, **options: Any) -> Caller:
    organisation_id = house.organisation.id
    return Caller(
        issue_key(
            organisation_id=organisation_id, name="Key", scopes=list(scopes), role=role, **options
        )
    )


def test_caller__needs_the_scope(house: House) -> None:
    run = house.accepted()
    reader = keyed(house, Scope.TASKS_READ)
    assert thread(reader, run.task_id) == []
    with expect_unchanged():
        problem = expect_problem(post(reader, run.task_id), 403, "scope_missing")
        assert problem["scope"] == "tasks:create"
    writer = keyed(house, Scope.TASKS_CREATE)
    assert post(writer, run.task_id).status_code == 201
    answer = writer.get(f"/v1/tasks/{run.task_id}/messages")
    assert expect_problem(answer, 403, "scope_missing")["scope"] == "tasks:read"
    viewer = keyed(house, Scope.TASKS_CREATE, role=Role.VIEWER)
    expect_problem(post(viewer, run.task_id), 403, "role_too_low")


def test_caller__of_other_pools_may_not(house: House) -> None:
    task = house.task()
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    back = keyed(house, Scope.TASKS_READ, Scope.TASKS_CREATE, pool_ids=[other.id])
    with expect_unchanged():
        expect_problem(post(back, task.id), 404, "not_found")
        expect_problem(back.get(f"/v1/tasks/{task.id}/messages"), 404, "not_found")


def test_worker_with_more_scopes__speaks_as_the_worker_of_its_tasks_only(house: House) -> None:
    run = house.accepted()
    other = house.task()
    both = keyed(
        house,
        Scope.TASKS_READ,
        Scope.TASKS_CREATE,
        Scope.WORK,
        worker_id=house.bobs_worker.id,
    )
    assert post(both, run.task_id).json()["author_kind"] == "worker"
    answer = post(both, other.id).json()
    assert (answer["author_kind"], answer["author_name"]) == ("requester", "Key")


def test_member__is_named_while_it_belongs_to_the_organisation(house: House) -> None:
    task = house.task()
    member = member_of(house.organisation, "mara@northwind.example", role=Role.EDITOR)
    actor = principal_of_member(Member.objects.select_related("user").get(id=member.id))
    message = services.post_message(actor=actor, task_id=task.id, text="Hello", at=clock.now())
    assert (message.author_kind, message.author_name) == ("requester", "Mara Lindqvist")
    (shown,) = thread(house.alice, task.id)
    assert shown["author_name"] == "Mara Lindqvist"
    member.delete()
    (shown,) = thread(house.alice, task.id)
    assert (shown["author_name"], shown["text"]) == ("", "Hello")
    assert "Mara" not in str(Message.objects.values())


def test_member_below_an_editor__may_read_only(house: House) -> None:
    task = house.task()
    member = member_of(house.organisation, "jo@northwind.example")
    actor = principal_of_member(Member.objects.select_related("user").get(id=member.id))
    assert list(selectors.messages(actor=actor, task_id=task.id)) == []
    with pytest.raises(ScopeMissing):
        services.post_message(actor=actor, task_id=task.id, text="Hello", at=clock.now())


def test_service__of_an_unknown_task(house: House) -> None:
    with pytest.raises(NotFound):
        selectors.messages(actor=house.bob.principal, task_id=house.organisation.id)


# --- when, and what ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["completed", "cancelled"])
def test_message__on_a_task_that_has_closed_is_refused(house: House, end: str) -> None:
    if end == "completed":
        task_id = house.completed().id
    else:
        task_id = house.task().id
        house.alice.post(f"/v1/tasks/{task_id}/cancel")
    with expect_unchanged():
        expect_problem(post(house.alice, task_id), 409, "illegal_transition")
    assert thread(house.alice, task_id) == []


def test_message__on_a_submitted_task(house: House) -> None:
    run = house.started()
    act(house.bob, run, "submit", output=OUTPUT)
    assert post(house.bob, run.task_id).status_code == 201


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "blank"),
        (" \n", "blank"),
        ("x" * 4001, "too_long"),
        ("a\x00b", "nul_character"),
        (None, "wrong_type"),
        (1, "wrong_type"),
    ],
)
def test_text__out_of_bounds_is_refused(house: House, text: Any, code: str) -> None:
    task = house.task()
    with expect_unchanged():
        assert faults(post(house.alice, task.id, text)) == {"/text": code}


def test_text__of_4000_characters(house: House) -> None:
    task = house.task()
    assert post(house.alice, task.id, "ä" * 4000).status_code == 201


def test_thread__has_an_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_MESSAGES_PER_TASK", 2)
    task = house.task()
    assert [post(house.alice, task.id).status_code for _ in range(2)] == [201, 201]
    with expect_unchanged():
        assert faults(post(house.alice, task.id)) == {"": "too_many"}


def test_thread__is_purged_with_its_task(house: House) -> None:
    run: Run = house.accepted()
    post(house.bob, run.task_id)
    house.alice.post(f"/v1/tasks/{run.task_id}/cancel")
    services.purge_tasks_now(task_ids=[run.task_id], at=clock.now())
    assert Message.objects.count() == 0
    assert thread(house.alice, run.task_id) == []
    log = house.alice.get(f"/v1/tasks/{run.task_id}/events").json()["data"]
    assert chain.first_broken(log) is None
    assert "task.message" in [event["type"] for event in log]
