"""The console's pages about decisions on verdicts: appeals, second looks, figures of reviewers."""

from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from apps.accounts.scopes import Role
from apps.accounts.selectors import principal_of_member
from apps.base import clock
from apps.base.ids import new_id
from apps.pools.models import Worker
from apps.reviews import services
from apps.reviews.admin import AppealAdmin
from apps.reviews.models import Appeal, SecondLook
from apps.reviews.services import Ruling
from apps.tasks.models import Task
from apps.tasks.services.retention.purging import purge_tasks_now
from tests.console.steps import Console, console_of, words
from tests.console.webhook_steps import stranger
from tests.factories import Caller, House
from tests.review_steps import decide, in_review, reviewer, set_policy

APPEALS, LOOKS, REVIEWERS = "reviews/appeal/", "reviews/secondlook/", "reviews/reviewers/"
WORDS = "The ticket is in the notes."
# The session, its member, and at most five of a list; of an appeal nine.
OF_A_LIST = 6
OF_AN_APPEAL = 2 + 9


@pytest.fixture
def rita(house: House) -> Caller:
    set_policy(house.pool, second_look_share=1)
    return reviewer(house)


@pytest.fixture
def mona(house: House) -> Console:
    return console_of(house, Role.MANAGER)


def appealed(house: House, rita: Caller, kind: str = "reject", **more: Any) -> Appeal:
    """Return the appeal of a verdict on a new output of Bob's."""
    review = decide(rita.principal, in_review(house, **more), kind, rating=2, pointers=["/notes"])
    return services.open_appeal(
        actor=house.bob.principal, review_id=review.id, reason=WORDS, at=clock.now()
    )


def ruled(house: House, appeal: Appeal, decision: str = "uphold") -> Appeal:
    ruling = Ruling(version=1, decision=decision, reason="I have read it.")
    actor = reviewer(house, "Otto").principal
    return services.decide_appeal(actor=actor, appeal_id=appeal.id, ruling=ruling, at=clock.now())


def send(console: Console, appeal: Appeal, **fields: Any) -> Any:
    typed = {"version": "1", "decision": "uphold", "reason": "I have read it.", **fields}
    return console.post(f"{APPEALS}{appeal.id}/", **typed)


def unchanged(appeal: Appeal) -> None:
    found = Appeal.objects.get(id=appeal.id)
    assert (found.status, found.version, found.decided_by) == ("open", 1, "")


# --- the list of appeals --------------------------------------------------------------------------


def test_appeals__the_open_ones_first(house: House, rita: Caller, mona: Console) -> None:
    titles = ["Call the first", "Call the second", "Call the third"]
    first, second, _ = [appealed(house, rita, title=title) for title in titles]
    ruled(house, first)
    ruled(house, second, "overturn")
    text = mona.text(APPEALS)
    places = [
        text.index(title) for title in ("Call the third", "Call the second", "Call the first")
    ]
    assert places == sorted(places)
    assert "Otto" in text
    only_open = mona.text(f"{APPEALS}?decision=open")
    assert [title in only_open for title in titles] == [False, False, True]
    decided = mona.text(f"{APPEALS}?decision=decided")
    assert [title in decided for title in titles] == [True, True, False]


def test_appeals__of_another_organisation_are_not_listed(house: House, rita: Caller) -> None:
    appeal = appealed(house, rita)
    other = stranger(house)
    assert b"data-row" not in other.get(f"/admin/{APPEALS}").content
    assert other.get(f"/admin/{APPEALS}{appeal.id}/").status_code == 404


@pytest.mark.parametrize("path", [APPEALS, LOOKS, REVIEWERS])
def test_lists__cost_few_statements(
    house: House, rita: Caller, mona: Console, path: str, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        ruled(house, appealed(house, rita))
        look = SecondLook.objects.get(review=decide(rita.principal, in_review(house)))
        services.give_second_look(
            actor=reviewer(house, "Otto").principal,
            look_id=look.id,
            verdict="approve",
            reason="",
            at=clock.now(),
        )
    with django_assert_max_num_queries(OF_A_LIST):
        assert mona.get(path).status_code == 200


def test_list__of_appeals_has_an_index(house: House, rita: Caller) -> None:
    """It begins with the open ones, however many were decided."""
    appeal = ruled(house, appealed(house, rita))
    copies = []
    for _ in range(600):
        one = copy(appeal)
        one.id, one.review_id = new_id(), new_id()
        copies.append(one)
    with transaction.atomic(), connection.cursor() as cursor:
        # Of reviews that do not exist.
        Appeal.objects.bulk_create(copies)
        cursor.execute("ANALYZE reviews_appeal")
        rows = Appeal.objects.filter(organisation=house.organisation)
        assert "appeal_open_first" in rows.order_by(*AppealAdmin.ordering)[:50].explain()
        transaction.set_rollback(True)


def test_tabs__are_those_of_the_role(house: House, rita: Caller, mona: Console) -> None:
    shown = mona.get(APPEALS).content.decode()
    for path in (APPEALS, LOOKS, REVIEWERS):
        assert f'href="/admin/{path}"' in shown
    editor = console_of(house, Role.EDITOR)
    assert editor.get(APPEALS).status_code == 403
    board = editor.get("").content.decode()
    assert f'href="/admin/{LOOKS}"' in board
    assert f'href="/admin/{APPEALS}"' not in board


# --- one appeal -----------------------------------------------------------------------------------


def test_appeal__shows_what_a_manager_needs(
    house: House, rita: Caller, mona: Console, django_assert_max_num_queries: Any
) -> None:
    appeal = appealed(house, rita)
    with django_assert_max_num_queries(OF_AN_APPEAL):
        text = mona.text(f"{APPEALS}{appeal.id}/")
    task = appeal.review.task
    for part in (
        task.title,
        WORDS,
        "Rejected",
        "Rita",
        "Call again, and ask for the ticket.",
        "2 of 5",
        "/notes",
        str(appeal.review.run.output["notes"]),
        house.bobs_worker.name,
        "Decide the appeal",
    ):
        assert part in text, part
    assert "Queue the task again" not in text


def test_appeal__is_upheld(house: House, rita: Caller, mona: Console) -> None:
    appeal = appealed(house, rita)
    answer = send(mona, appeal, reason="I have read it.\r\nIt stands.")
    assert answer["Location"] == f"/admin/{APPEALS}{appeal.id}/"
    found = Appeal.objects.get()
    assert (found.status, found.decision_reason, found.decided_by) == (
        "upheld",
        "I have read it.\nIt stands.",
        f"member:{mona.member.id}",
    )
    text = mona.text(f"{APPEALS}{appeal.id}/")
    assert "Decide the appeal" not in text
    assert "It stands." in text


def test_appeal__is_overturned_with_a_new_rating(house: House, rita: Caller, mona: Console) -> None:
    appeal = appealed(house, rita)
    assert send(mona, appeal, decision="overturn", rating="5").status_code == 302
    assert (Appeal.objects.get().status, Appeal.objects.get().rating) == ("overturned", 5)
    worker = Worker.objects.get(id=house.bobs_worker.id)
    assert (worker.rating_now, worker.rating_count) == (5, 1)


def test_appeal__an_admin_queues_the_task_again(house: House, rita: Caller) -> None:
    boss = console_of(house, Role.ADMIN)
    appeal = appealed(house, rita)
    assert "Queue the task again" in boss.text(f"{APPEALS}{appeal.id}/")
    assert send(boss, appeal, decision="overturn", reopen="on").status_code == 302
    assert (Appeal.objects.get().status, Task.objects.get().status) == ("overturned", "queued")


def test_appeal__of_a_task_without_attempts_is_not_decided(house: House, rita: Caller) -> None:
    boss = console_of(house, Role.ADMIN)
    appeal = appealed(house, rita)
    Task.objects.filter(id=appeal.review.task_id).update(max_attempts=1)
    refused = send(boss, appeal, decision="overturn", reopen="on")
    assert "Queue the task again: No attempt is left." in words(refused)
    unchanged(appeal)
    assert Task.objects.get().status == "failed"


def test_form__shows_what_is_missing(house: House, rita: Caller, mona: Console) -> None:
    appeal = appealed(house, rita)
    for fields, text in (
        ({"reason": "  "}, "Reason: This field is required."),
        ({"decision": ""}, "Decision: This field is required."),
        ({"decision": "both"}, "Decision: "),
        ({"rating": "5"}, "New rating: This is possible only to overturn the verdict."),
        ({"rating": "6"}, "New rating: "),
        ({"version": "x"}, "There is a problem"),
        ({"reason": "x" * 4001}, "Reason: "),
    ):
        answer = send(mona, appeal, **fields)
        assert answer.status_code == 200
        assert text in words(answer), fields
        unchanged(appeal)


def test_form__of_an_appeal_that_was_decided_meanwhile(
    house: House, rita: Caller, mona: Console
) -> None:
    appeal = appealed(house, rita)
    ruled(house, appeal)
    text = words(send(mona, appeal, decision="overturn", reason="It was in the notes."))
    assert "It was decided meanwhile. Nothing of yours was stored." in text
    assert "Otto" in text
    assert "It was in the notes." in text
    assert "Decide the appeal" not in text
    assert Appeal.objects.get().status == "upheld"


def test_appeal__is_not_decided_by_who_gave_the_verdict(house: House, mona: Console) -> None:
    set_policy(house.pool)
    review = decide(principal_of_member(mona.member), in_review(house), "reject")
    appeal = services.open_appeal(
        actor=house.bob.principal, review_id=review.id, reason=WORDS, at=clock.now()
    )
    text = mona.text(f"{APPEALS}{appeal.id}/")
    assert "You gave this verdict: another manager has to decide." in text
    assert "Decide the appeal" not in text
    assert "You gave this verdict" in words(send(mona, appeal))
    unchanged(appeal)


def test_appeal__of_a_task_whose_content_was_deleted(
    house: House, rita: Caller, mona: Console
) -> None:
    appeal = appealed(house, rita)
    task_id = appeal.review.task_id
    assert purge_tasks_now(task_ids=[task_id], at=clock.now()) == 1
    text = mona.text(f"{APPEALS}{appeal.id}/")
    assert "Expired" in text
    assert "The words were deleted with the content of the task." in text
    assert "Untitled task" in mona.text(APPEALS)


# --- second looks and reviewers -------------------------------------------------------------------


def test_second_looks__say_who_agrees(house: House, rita: Caller, mona: Console) -> None:
    look = SecondLook.objects.get(review=decide(rita.principal, in_review(house)))
    text = mona.text(LOOKS)
    assert "Waiting" in text
    services.give_second_look(
        actor=reviewer(house, "Otto").principal,
        look_id=look.id,
        verdict="reject",
        reason="The ticket is missing.",
        at=clock.now(),
    )
    text = mona.text(f"{LOOKS}?status=disagreed")
    for part in ("Disagrees", "Rita", "Otto", "The ticket is missing.", look.review.task.title):
        assert part in text
    assert f'href="/admin/tasks/task/{look.review.task_id}/"' in mona.get(LOOKS).content.decode()
    assert b"data-row" not in mona.get(f"{LOOKS}?status=agreed").content


def test_second_looks__a_viewer_sees_those_that_viewers_decide(house: House, rita: Caller) -> None:
    decide(rita.principal, in_review(house))
    viewer = console_of(house, Role.VIEWER)
    assert b"data-row" not in viewer.get(LOOKS).content
    set_policy(house.pool, second_look_share=1, required_role="viewer")
    decide(rita.principal, in_review(house))
    assert viewer.get(LOOKS).content.count(b"data-row") == 1


def test_reviewers__have_their_figures(house: House, rita: Caller, mona: Console) -> None:
    at = clock.now() - timedelta(hours=1)
    review = in_review(house)
    review = services.claim_review(actor=rita.principal, review_id=review.id, at=at)
    decide(rita.principal, review, at=at + timedelta(seconds=4))
    look = SecondLook.objects.get()
    services.give_second_look(
        actor=reviewer(house, "Otto").principal,
        look_id=look.id,
        verdict="approve",
        reason="",
        at=clock.now(),
    )
    text = mona.text(REVIEWERS)
    assert "Rita" in text
    assert "Fast approvals: 100 % of 1" in text
    assert "Agreement: 100 % of 1" in text
    assert "Approvals an hour: 1.0" in text
    assert "No one has given a verdict" in mona.text(f"{REVIEWERS}?days=7&after=z")
    assert "Rita" in mona.text(f"{REVIEWERS}?days=92&after=%00")
