"""Test the page of a task: who may see it, its whole story, and what it costs."""

from typing import Any

import pytest

from apps.accounts.principal import system
from apps.accounts.scopes import Role
from apps.base import clock
from apps.console.task_page import timeline
from apps.matching import services as matching
from apps.tasks import services as tasks
from apps.tasks.models import Message
from apps.webhooks.texts import PATTERN_TEXTS
from biolayer.events.patterns import KNOWN_PATTERNS
from biolayer.lifecycle import EventType
from tests.api.steps import upload
from tests.console.task_steps import Operator, audited, operator, page_of, words
from tests.factories import NO_ID, House, contract, soon, worker_in
from tests.pages.steps import browser
from tests.review_steps import decide, in_review, reviewer, set_policy

MAX_STATEMENTS = 15


@pytest.fixture
def mara(house: House) -> Operator:
    return operator(house)


# --- who may see it -------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.MANAGER, Role.ADMIN])
def test_page__is_for_members_of_each_role(house: House, role: Role) -> None:
    task = house.queued()
    text = operator(house, role).text(page_of(task))
    assert task.title in text
    assert ("Move ahead" in text) is (role in (Role.MANAGER, Role.ADMIN))
    assert ("Cancel the task" in text) is (role is not Role.VIEWER)
    assert ("Send the message" in text) is (role is not Role.VIEWER)


@pytest.mark.parametrize("name", ["", "parts", "events/"])
def test_page__of_another_organisation_is_not_found(
    house: House, mara: Operator, name: str
) -> None:
    document = contract(title="Foreign")
    foreign = tasks.create_task(
        actor=house.charlie.principal, document=document, at=clock.now()
    ).task
    assert mara.get(page_of(foreign, name)).status_code == 404
    assert mara.get(f"/admin/tasks/task/{NO_ID}/{name}").status_code == 404


def test_page__asks_to_sign_in(house: House) -> None:
    answer = browser().get(page_of(house.queued()))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


# --- what it tells, and costs ---------------------------------------------------------------------


def test_queued__says_why_and_what_would_change_it(house: House, mara: Operator) -> None:
    worker_in(house.pool, name="Nora Fields", skills=["phone"], trust_level=2)
    task = house.queued(
        requirements={
            "skills": ["phone"],
            "trust_level": 3,
            "worker_pool_id": str(house.pool.id),
        }
    )
    page = mara.get(page_of(task))
    text = words(page)
    assert "None of the 2 workers of its pools meets the requirements." in text
    assert "Lower the trust level to 2 1 worker more could be offered it now." in text
    assert "Drop the skill Phone, lower the trust level to 0" in text
    assert f'href="{page_of(task, "lower/")}?lack=trust%202"' in page.content.decode()


def test_offered__says_to_whom_and_why(house: House, mara: Operator) -> None:
    offer = house.offered()
    text = mara.text(page_of(offer.task))
    assert "It is offered to 1 worker, who has not answered yet." in text
    assert "Bob Ashdown Front desk Open" in text
    assert "free capacity: 1 of 1" in text
    assert f"score: {offer.why['score']:g}" in text


def test_completed__has_output_runs_and_deliveries(house: House, mara: Operator) -> None:
    task = house.completed(handoff={"callback_url": "https://product.example/hook"})
    text = mara.text(page_of(task))
    assert "Reached user Yes" in text
    assert "Owner ran a patch script." in text
    assert "Submitted by Bob Ashdown" in text
    assert "task.completed #" in text
    assert "https://product.example/hook its own callback" in text
    assert "Created by Alice's backend" in text


def test_audit__is_for_those_who_may_read_it(house: House, mara: Operator) -> None:
    task = house.queued()
    actor = house.alice.principal
    tasks.cancel_task(actor=actor, task_id=task.id, reason="By mistake", at=clock.now())
    assert "Task cancelled Alice's backend" in mara.text(page_of(task))
    assert "Task cancelled Alice's backend" not in operator(house, Role.VIEWER).text(page_of(task))


def test_output__that_is_not_verified_is_not_for_viewers(house: House, mara: Operator) -> None:
    run = house.submitted()
    assert "Owner ran a patch script." in mara.text(page_of(run.task))
    text = operator(house, Role.VIEWER).text(page_of(run.task))
    assert "Owner ran a patch script." not in text
    assert "An output was submitted; it is shown once it is verified." in text


def test_dependencies__are_drawn_and_listed_in_both_directions(
    house: House, mara: Operator
) -> None:
    first = house.queued(title="The first")
    middle = house.task(title="The middle one", depends_on=[str(first.id)])
    last = house.task(title="The last", depends_on=[str(middle.id), str(first.id)])
    page = mara.get(page_of(middle)).content.decode()
    assert page.count("<rect") == 3
    assert page.count("<path") == 2
    graph = page[page.index("graph-title") :]
    before = graph.index("It waits for")
    assert before < graph.index(str(first.id)) < graph.index("These wait for it")
    assert graph.index("These wait for it") < graph.index(str(last.id))


def _cases(house: House) -> dict[str, Any]:
    busiest = house.started(
        requirements={"worker_pool_id": str(house.pool.id)},
        handoff={"callback_url": "https://product.example/hook"},
        sla={"deadline": soon(hours=1).isoformat(), "target_latency_seconds": 600},
    )
    assert upload(house.bob, busiest, b"proof", "proof.txt").status_code == 201
    return {"started": busiest.task}


@pytest.mark.parametrize("status", ["started", "again", "unfit", "completed"])
def test_page__takes_few_statements(
    house: House, django_assert_max_num_queries: Any, status: str
) -> None:
    """Also a task that is queued again after a run with a file, which has all there is to read."""
    admin = operator(house, Role.ADMIN)
    if status == "unfit":
        task: Any = house.queued(
            requirements={"skills": ["welding"], "worker_pool_id": str(house.pool.id)}
        )
    elif status == "completed":
        task = house.completed(handoff={"callback_url": "https://product.example/hook"})
    else:
        task = _cases(house)["started"]
    actor, at = system("test", house.organisation.id), clock.now()
    if status == "again":
        matching.requeue_task(actor=actor, task_id=task.id, reason="Back", at=at)
    admin.get(page_of(task))
    with django_assert_max_num_queries(MAX_STATEMENTS):
        assert admin.get(page_of(task)).status_code == 200


def test_hostile_texts__are_escaped(house: House, mara: Operator) -> None:
    task = house.queued(
        title="<script>alert(1)</script>",
        instructions="<img src=x onerror=alert(1)> [a](javascript:alert(1))",
        context={"background": "<b>bold</b>", "more": {"<i>": "<u>"}},
    )
    page = mara.get(page_of(task)).content.decode()
    for mark in ("<script>alert", "<img src=x", 'javascript:alert(1)"', "<b>bold", "<i>", "<u>"):
        assert mark not in page


# --- messages, events, evidence -------------------------------------------------------------------


def test_message__is_sent_to_the_worker(house: House, mara: Operator) -> None:
    run = house.started()
    answer = mara.post(page_of(run.task, "message/"), text="Which door?")
    assert answer["Location"] == f"{page_of(run.task)}#messages"
    message = Message.objects.get(task_id=run.task_id)
    assert (message.text, message.member_id) == ("Which door?", mara.member.id)
    assert "Which door?" in mara.text(page_of(run.task))


def test_message__without_text_is_refused(house: House, mara: Operator) -> None:
    run = house.started()
    answer = mara.post(page_of(run.task, "message/"), text=" ")
    assert answer.status_code == 200
    assert "There is a problem" in words(answer)
    assert not Message.objects.exists()


def test_message__on_a_closed_task_is_refused(house: House, mara: Operator) -> None:
    task = house.completed()
    answer = mara.post(page_of(task, "message/"), text="Which door?")
    assert "This is not possible any more: the task is completed now." in words(answer)
    assert not Message.objects.exists()


def test_message__is_not_for_viewers(house: House) -> None:
    run = house.started()
    viewer = operator(house, Role.VIEWER)
    assert viewer.post(page_of(run.task, "message/"), text="Which door?").status_code == 403
    assert not Message.objects.exists()


def test_events__are_listed_from_the_last_on(house: House, mara: Operator) -> None:
    task = house.completed()
    text = mara.text(f"{page_of(task, 'events/')}?before=3")
    assert "Queued" in text
    assert "Completed" not in text


def test_evidence__is_downloaded_and_audited(house: House, mara: Operator) -> None:
    run = house.started()
    sent = upload(house.bob, run, b"proof", "proof.txt")
    assert sent.status_code == 201
    path = page_of(run.task, f"evidence/{sent.json()['evidence_id']}")
    answer = mara.get(path)
    assert b"".join(answer.streaming_content) == b"proof"
    assert answer["Content-Disposition"] == 'attachment; filename="proof.txt"'
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert operator(house, Role.VIEWER).get(path).status_code == 403
    assert audited(_named(sent.json()["evidence_id"])) == [("evidence.read", "member")]


def _named(id_: str) -> Any:
    return type("Named", (), {"id": id_})


def test_parts__have_all_that_changes(house: House, mara: Operator) -> None:
    task = house.queued()
    page, parts = (mara.get(page_of(task, name)).content.decode() for name in ("", "parts"))
    assert parts.count("data-part") == page.count("data-part") == 14
    assert "<html" not in parts


def test_parts__are_not_read_again_for_the_same_version(
    house: House, mara: Operator, django_assert_max_num_queries: Any
) -> None:
    task = house.queued()
    task.refresh_from_db()
    with django_assert_max_num_queries(3):
        answer = mara.get(f"{page_of(task, 'parts')}?version={task.version}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert mara.get(f"{page_of(task, 'parts')}?version={task.version - 1}").status_code == 200


# --- reviews --------------------------------------------------------------------------------------


def test_review__is_told_while_it_waits_and_when_it_is_decided(
    house: House, mara: Operator
) -> None:
    set_policy(house.pool, deadline_seconds=60, max_rework=0)
    review = in_review(house)
    text = mara.text(page_of(review.task))
    assert "A reviewer has to decide on the output." in text
    assert "Review requested" in text
    decide(reviewer(house).principal, review, "rework")
    text = mara.text(page_of(review.task))
    assert "Sent back for rework" in text
    assert "it was sent back as often as its policy allows" in text


def test_appeal__is_told_with_what_came_of_it(house: House, mara: Operator) -> None:
    set_policy(house.pool)
    review = decide(reviewer(house).principal, in_review(house), "reject")
    made = house.bob.post(f"/v1/reviews/{review.id}/appeal", {"reason": "It is in the notes."})
    text = mara.text(page_of(review.task))
    assert "Verdict appealed by Bob Ashdown" in text
    assert "It is in the notes." in text
    body = {"version": 1, "decision": "overturn", "reason": "It is."}
    path = f"/v1/appeals/{made.json()['appeal_id']}/decision"
    assert reviewer(house, "Mona").post(path, body).status_code == 200
    assert "Appeal granted: the verdict was overturned" in mara.text(page_of(review.task))


def test_texts__name_every_type_of_event() -> None:
    assert timeline.TITLES.keys() == {one.value for one in EventType}
    assert PATTERN_TEXTS.keys() == {*KNOWN_PATTERNS}
