"""Test the forms by which an operator changes a task, and what takes a change back."""

from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.scopes import Role
from apps.base import clock
from apps.matching import services as matching
from apps.matching.models import Offer
from apps.tasks import services as tasks
from apps.tasks.models import Run
from tests.console.task_steps import Operator, audited, operator, page_of, words
from tests.factories import House, contract, worker_in

FORMS: dict[str, dict[str, Any]] = {
    "boost": {"minutes": 30},
    "extend": {"deadline": "2099-01-31T12:00"},
    "requeue": {},
    "cancel": {},
}


@pytest.fixture
def mara(house: House) -> Operator:
    return operator(house)


def send(who: Operator, task: Any, name: str, **fields: Any) -> Any:
    """Send an action's form as the page has it."""
    page = page_of(task, f"{name}/")
    version = who.get(page).context["version"]
    return who.post(page, page=page, **{"version": version, "reason": "So asked", **fields})


def events_of(task: Any) -> int:
    task.refresh_from_db()
    version: int = task.version
    return version


# --- each action ----------------------------------------------------------------------------------


def test_cancel__needs_a_reason_and_is_audited(house: House, mara: Operator) -> None:
    task = house.queued()
    before = events_of(task)
    answer = send(mara, task, "cancel", reason=" ")
    assert (answer.status_code, events_of(task)) == (200, before)
    assert "There is a problem Reason: This field is required." in words(answer)
    answer = send(mara, task, "cancel")
    assert answer["Location"] == page_of(task)
    task.refresh_from_db()
    assert (task.status, task.close_reason) == ("cancelled", "So asked")
    assert audited(task) == [("task.cancelled", "member")]
    assert "The task is cancelled." in mara.text(page_of(task))


def test_requeue__takes_the_task_from_its_worker(house: House, mara: Operator) -> None:
    run = house.started()
    send(mara, run.task, "requeue")
    run.task.refresh_from_db()
    assert (run.task.status, run.task.worker_id) == ("queued", None)
    assert audited(run.task) == [("task.requeued", "member")]
    text = mara.text(page_of(run.task))
    assert "Queued again: taken from Bob Ashdown by Mara Lindqvist “So asked”" in text
    assert "Given back Bob Ashdown : lost it: an operator took it back" in text


def test_reassign__shows_who_could_get_it_and_why_others_could_not(
    house: House, mara: Operator
) -> None:
    nora, _ = worker_in(house.pool, name="Nora Fields", skills=["phone"])
    task = house.queued(requirements={"skills": ["phone"]})
    page = page_of(task, "reassign/")
    assert "Nora Fields can be offered it Bob Ashdown lacks a skill" in mara.text(page)
    assert "Nora" not in mara.text(f"{page}?name=ashDOWN")
    answer = send(mara, task, "reassign", worker_id=house.bobs_worker.id)
    assert "This worker cannot be offered it now." in words(answer)
    assert not Offer.objects.exists()
    send(mara, task, "reassign", worker_id=nora.id)
    assert Offer.objects.get(task=task).worker_id == nora.id
    assert audited(task) == [("task.reassigned", "member")]


def test_reassign__to_a_worker_of_another_organisation_is_refused(
    house: House, mara: Operator
) -> None:
    stranger, _ = worker_in(house.strangers_pool)
    task = house.queued()
    answer = send(mara, task, "reassign", worker_id=stranger.id)
    assert "This worker is none of yours." in words(answer)
    assert not Offer.objects.exists()


def test_reopen__is_for_admins(house: House, mara: Operator) -> None:
    task = house.completed()
    assert send(mara, task, "reopen").status_code == 403
    assert "Reopen" not in mara.text(page_of(task))
    send(operator(house, Role.ADMIN), task, "reopen")
    task.refresh_from_db()
    assert (task.status, task.attempt) == ("queued", 2)
    assert audited(task) == [("task.reopened", "member")]


# --- changes that can be undone -------------------------------------------------------------------


def undo(who: Operator, task: Any, answer: Any) -> Any:
    """Press the button that the page shows after a change."""
    page = who.get(answer["Location"])
    token = page.context["undo_token"]
    assert token
    return who.post(page_of(task, "undo/"), page=answer["Location"], token=token)


def test_boost__is_undone(house: House, mara: Operator) -> None:
    task = house.queued()
    place = task.sort_at
    answer = send(mara, task, "boost", minutes=30)
    task.refresh_from_db()
    assert task.sort_at == place - timedelta(minutes=30)
    undo(mara, task, answer)
    task.refresh_from_db()
    assert task.sort_at == place
    assert audited(task) == [("task.boosted", "member")] * 2


def test_deadline__is_set_and_undone(house: House, mara: Operator) -> None:
    task = house.queued()
    mara.client.cookies["time_zone"] = "Europe/Berlin"
    answer = send(mara, task, "extend", deadline="2099-01-31T12:00")
    task.refresh_from_db()
    assert task.deadline is not None
    assert task.deadline.isoformat() == "2099-01-31T11:00:00+00:00"
    undo(mara, task, answer)
    task.refresh_from_db()
    assert task.deadline is None


def test_deadline__in_the_past_is_refused_at_its_field(house: House, mara: Operator) -> None:
    task = house.queued()
    answer = send(mara, task, "extend", deadline="2001-01-31T12:00")
    assert "New deadline: Choose a time in the future." in words(answer)
    task.refresh_from_db()
    assert task.deadline is None


NEEDS = {
    "skills": ["phone", "welding"],
    "skill_levels": {"phone": 3},
    "languages": ["fi"],
    "trust_level": 3,
    "min_rating": 4.5,
}


def test_lower__is_filled_in_from_the_explanation(house: House, mara: Operator) -> None:
    task = house.queued(requirements=NEEDS)
    page = f"{page_of(task, 'lower/')}?lack=skill+welding&lack=trust+1&lack=level+phone+2&lack=x"
    form = mara.get(page).context["form"]
    assert form["skills"].value() == ["phone"]
    assert form["trust_level"].value() == 1
    assert form["level-phone"].value() == 2
    assert form["min_rating"].value() == 4.5


def test_lower__changes_what_was_taken_out_and_is_undone(house: House, mara: Operator) -> None:
    task = house.queued(requirements=NEEDS)
    fields = {
        "skills": ["phone"],
        "level-phone": 2,
        "languages": [],
        "trust_level": 0,
        "min_rating": "4.5",
    }
    answer = send(mara, task, "lower", **fields)
    task.refresh_from_db()
    assert (task.skills, task.skill_levels, task.languages) == (["phone"], {"phone": 2}, [])
    assert (task.trust_level, task.min_rating) == (0, 4.5)
    undo(mara, task, answer)
    task.refresh_from_db()
    assert {name: getattr(task, name) for name in NEEDS} == NEEDS


def test_lower__without_a_change_is_refused(house: House, mara: Operator) -> None:
    task = house.queued(requirements={"skills": ["phone"]})
    answer = send(mara, task, "lower", skills=["phone"])
    assert "Nothing is lowered yet" in words(answer)
    assert audited(task) == []


def test_lower__gets_the_task_to_a_worker(house: House, mara: Operator) -> None:
    task = house.queued(requirements={"skills": ["welding"]})
    send(mara, task, "lower", skills=[])
    assert matching.match_queued() == 1
    assert Offer.objects.get(task=task).worker_id == house.bobs_worker.id


def test_undo__is_refused_after_another_change(house: House, mara: Operator) -> None:
    task = house.queued()
    first = send(mara, task, "boost", minutes=30)
    token = mara.get(first["Location"]).context["undo_token"]
    send(mara, task, "boost", minutes=5)
    task.refresh_from_db()
    place = task.sort_at
    assert not mara.get(first["Location"]).context["undo_token"]
    mara.post(page_of(task, "undo/"), token=token)
    assert "It was changed again meanwhile, so it is not undone." in mara.text(page_of(task))
    task.refresh_from_db()
    assert task.sort_at == place


def test_undo__of_another_person_is_refused(house: House, mara: Operator) -> None:
    task = house.queued()
    answer = send(mara, task, "boost", minutes=30)
    token = mara.get(answer["Location"]).context["undo_token"]
    admin = operator(house, Role.ADMIN)
    before = events_of(task)
    admin.post(page_of(task, "undo/"), token=token)
    mara.post(page_of(house.task(title="Another"), "undo/"), token=token)
    mara.post(page_of(task, "undo/"), token=token + "x")
    assert events_of(task) == before


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMS)
def test_stale_version__is_refused_with_what_changed(
    house: House, mara: Operator, name: str
) -> None:
    task = house.offered().task
    page = page_of(task, f"{name}/")
    shown = mara.get(page).context["version"]
    send(operator(house, Role.ADMIN), task, "extend", deadline="2098-01-31T12:00")
    before = events_of(task)
    fields = {"reason": "So asked", "version": shown, **FORMS[name]}
    answer = mara.post(page, page=page, **fields)
    text = words(answer)
    assert "The task has changed meanwhile" in text
    assert "Changed by an operator by Mara Lindqvist “So asked”" in text
    assert events_of(task) == before
    answer = mara.post(page, page=page, **{**fields, "version": answer.context["version"]})
    assert answer.status_code == 302
    assert events_of(task) == before + 1


def test_closed_task__is_refused(house: House, mara: Operator) -> None:
    task = house.completed()
    for name, fields in FORMS.items():
        answer = send(mara, task, name, **fields)
        assert "This is not possible any more: the task is completed now." in words(answer)
    assert audited(task) == []


@pytest.mark.parametrize("name", [*FORMS, "lower", "reassign", "reopen"])
def test_role_too_low__is_refused(house: House, name: str) -> None:
    task = house.queued(requirements={"skills": ["phone"]})
    role = Role.VIEWER if name == "cancel" else Role.EDITOR
    who = operator(house, role)
    path = page_of(task, f"{name}/")
    answers = [who.get(path), who.post(path, reason="So asked", version=2, **FORMS.get(name, {}))]
    assert [one.status_code for one in answers] == [403, 403]
    assert "This page needs the role" in words(answers[0])
    assert audited(task) == []


@pytest.mark.parametrize("name", ["cancel", "undo", "message"])
def test_foreign_task__is_not_found(house: House, mara: Operator, name: str) -> None:
    actor = house.charlie.principal
    task = tasks.create_task(actor=actor, document=contract(), at=clock.now()).task
    path = page_of(task, f"{name}/")
    before = events_of(task)
    answer = mara.post(path, reason="So asked", text="Hello", token="x")
    # Without a token of its own there is nothing to undo, whichever task it is.
    assert answer.status_code == (302 if name == "undo" else 404)
    assert mara.get(path).status_code == (404 if name == "cancel" else 405)
    assert (events_of(task), audited(task)) == (before, [])


def test_unknown_action__is_not_found(house: House, mara: Operator) -> None:
    task = house.queued()
    assert mara.get(page_of(task, "explode/")).status_code == 404
    assert Run.objects.get(task=task).status == "queued"
