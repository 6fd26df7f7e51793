"""Test the pages of pools: who sees them, what they show, and what they change."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Role
from apps.console.forms.pools import PoolForm, StepForm
from apps.console.forms.review_policy import ReviewPolicyForm
from apps.console.views import pools
from apps.pools.models import Membership, Pool, PoolNote
from biolayer.contract import EscalationStep
from biolayer.requests.pools import PoolCreation
from biolayer.reviews import ReviewPolicy
from tests.console.pool_steps import Operator, actions, fields_of, operator_of, text_of
from tests.factories import NO_ID, House, worker_in
from tests.pages.steps import browser

POOLS = "/admin/pools/pool/"


@pytest.fixture
def editor(house: House) -> Operator:
    return operator_of(house, Role.EDITOR)


@pytest.fixture
def viewer(house: House) -> Operator:
    return operator_of(house, Role.VIEWER)


def page(house: House, rest: str = "") -> str:
    return f"{POOLS}{house.pool.id}/{rest}"


# --- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ["", "edit/", "close/", "add/"])
def test_pages__are_for_the_organisation_and_its_roles(
    house: House, viewer: Operator, editor: Operator, rest: str
) -> None:
    assert editor.get(page(house, rest)).status_code == 200
    assert viewer.get(page(house, rest)).status_code == (403 if rest else 200)
    for pool_id in (house.strangers_pool.id, NO_ID):
        assert editor.get(f"{POOLS}{pool_id}/{rest}").status_code == 404
    answer = browser().get(page(house, rest))
    assert answer["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("rest", ["edit/", "close/", "add/", "remove/"])
def test_calls__of_a_viewer_are_refused_and_change_nothing(
    house: House, viewer: Operator, rest: str
) -> None:
    before = actions()
    answer = viewer.post(page(house, rest), name="Back desk", chosen=str(house.bobs_worker.id))
    assert answer.status_code == 403
    assert "Editor" in answer.content.decode()
    assert Pool.objects.get(id=house.pool.id).status == "active"
    assert actions() == before
    assert viewer.get(f"{POOLS}new/").status_code == 403


# --- list -----------------------------------------------------------------------------------------


def test_list__shows_pools_with_their_policy(
    house: House, viewer: Operator, django_assert_max_num_queries: Any
) -> None:
    Pool.objects.filter(id=house.pool.id).update(
        offer_mode="broadcast", broadcast_to=3, offer_seconds={"low": 600},
        escalation={"steps": [{"after_seconds": 60, "notify": True}], "at_end": "fail"},
    )  # fmt: skip
    with django_assert_max_num_queries(6):
        shown = viewer.text(POOLS)
    assert "Front desk Open Members: 1 Up to 3 at once; 30 s \N{EN DASH} 10 min to answer" in shown
    assert "; 1 step Created: " in shown
    assert "Elsewhere" not in shown
    assert "New pool" not in shown
    assert "Front desk" not in viewer.text(f"{POOLS}?status=closed")
    assert "Front desk" in viewer.text(f"{POOLS}?q=front")


# --- page -----------------------------------------------------------------------------------------


def test_pool__shows_gaps_first(
    house: House, viewer: Operator, django_assert_max_num_queries: Any
) -> None:
    worker_in(house.pool, name="Cleo Brandt", skills=["phone"], presence="away")
    worker_in(house.pool, name="Dina Falk", skills=["phone", "welding"])
    needs = {"skills": ["phone", "welding"], "skill_levels": {"welding": 3}}
    house.queued(requirements={**needs, "certifications": ["gas-fitter"]})
    with django_assert_max_num_queries(12):
        shown = viewer.text(page(house))
    assert "Certification gas-fitter No member has it 1 0 0" in shown
    assert "Welding, level 3 No member has it 1 0 0" in shown
    assert "Phone Covered 1 2 1" in shown
    assert "Welding Not asked for now 0 1 1" in shown
    assert shown.index("gas-fitter") < shown.index("Phone Covered")
    assert "Members 3 Get offers now 2 Waiting tasks 0" in shown


def test_pool__says_that_those_who_have_it_are_away(house: House, viewer: Operator) -> None:
    worker_in(house.pool, skills=["phone"], presence="away")
    house.queued(requirements={"skills": ["phone"], "worker_pool_id": str(house.pool.id)})
    shown = viewer.text(page(house))
    assert "Phone All who have it are away or full 1 1 0" in shown
    assert "Waiting tasks 1" in shown


def test_members__are_found_by_the_beginnings_of_their_names(
    house: House, viewer: Operator
) -> None:
    worker_in(house.pool, name="Anna-Lena Ashby")
    assert "Bob Ashdown" in viewer.text(page(house, "?q=ash+bo"))
    shown = viewer.text(page(house, "?q=LENA"))
    assert "Anna-Lena Ashby" in shown
    assert "Bob Ashdown" not in shown
    assert "No member has such a name." in viewer.text(page(house, "?q=nna"))
    assert "No member has such a name." in viewer.text(page(house, "?q=:*%27"))


# --- members --------------------------------------------------------------------------------------


def test_add__offers_workers_of_the_organisation_who_are_no_members(
    house: House, editor: Operator
) -> None:
    other = Pool.objects.create(organisation=house.organisation, name="Back desk")
    worker, _ = worker_in(other, name="Bea Ashby")
    stranger, _ = worker_in(house.strangers_pool, name="Ben Ashford")
    shown = editor.text(page(house, "add/?q=b+ash"))
    assert "Bea Ashby" in shown
    assert "Bob Ashdown" not in shown
    assert "Ben Ashford" not in shown
    chosen = [str(worker.id), str(stranger.id), "nonsense", NO_ID]
    answer = editor.post(page(house, "add/"), chosen=chosen)
    assert (answer.status_code, answer["Location"]) == (302, page(house))
    assert "1 worker is added." in editor.text(page(house))
    assert Membership.objects.filter(pool=house.pool, worker=worker).exists()
    assert not Membership.objects.filter(pool=house.pool, worker=stranger).exists()
    assert actions() == ["pool_member.added"]


def test_remove__takes_the_chosen_members(house: House, editor: Operator) -> None:
    worker, _ = worker_in(house.pool)
    chosen = [str(worker.id), NO_ID]
    assert editor.post(page(house, "remove/"), chosen=chosen).status_code == 302
    members = Membership.objects.filter(pool=house.pool).values_list("worker_id", flat=True)
    assert list(members) == [house.bobs_worker.id]
    assert actions() == ["pool_member.removed"]
    editor.post(page(house, "remove/"))
    assert "Choose the workers first." in editor.text(page(house))


# --- create ---------------------------------------------------------------------------------------


def test_new__needs_a_name_only(house: House, editor: Operator) -> None:
    fields = fields_of(editor.get(f"{POOLS}new/"))
    answer = editor.post(f"{POOLS}new/", **{**fields, "name": "Night desk"})
    made = Pool.objects.get(name="Night desk")
    assert (answer.status_code, answer["Location"]) == (302, f"{POOLS}{made.id}/")
    usual = PoolCreation(name="Night desk").model_dump()
    for name, value in usual.items():
        assert getattr(made, name) == (value if name != "escalation" else {}), name
    assert actions() == ["pool.created"]


def test_new__shows_what_is_wrong_at_its_field(house: House, editor: Operator) -> None:
    fields = fields_of(editor.get(f"{POOLS}new/"))
    fields |= {"name": " ", "offer_high": "soon", "work_seconds": "31 d", "costs": "call\ntalk 2"}
    answer = editor.post(f"{POOLS}new/", **fields)
    shown = text_of(answer)
    assert "There is a problem" in shown
    for words in (
        "Name: This field is required.",
        "High: Enter a duration such as 45 s, 5 min or 2 h.",
        "Enter a duration from 1 s to 30 d.",
        "\N{LEFT DOUBLE QUOTATION MARK}call\N{RIGHT DOUBLE QUOTATION MARK} is no task type",
    ):
        assert words in shown, words
    assert not Pool.objects.filter(organisation=house.organisation).exclude(id=house.pool.id)


def test_new__edits_steps_without_a_script(house: House, editor: Operator) -> None:
    fields = fields_of(editor.get(f"{POOLS}new/")) | {"name": "Night desk", "costs": "half typed"}
    for _ in range(2):
        fields = fields_of(editor.post(f"{POOLS}new/", **fields, edit="add-steps"))
    assert (fields["steps-rows"], fields["costs"]) == (2, "half typed")
    fields |= {"costs": "", "steps-0-after": "10 min", "steps-0-notify": "on"}
    fields |= {"steps-1-after": "2 min", "steps-1-mode": "broadcast", "at_end": "fail"}
    refused = editor.post(f"{POOLS}new/", **fields)
    assert "Each step must come later than the one before." in text_of(refused)
    fields = fields_of(editor.post(f"{POOLS}new/", **fields, edit="down-steps-0"))
    assert (fields["steps-0-after"], fields["steps-1-after"]) == ("2 min", "10 min")
    assert editor.post(f"{POOLS}new/", **fields).status_code == 302
    steps = Pool.objects.get(name="Night desk").escalation["steps"]
    assert [(one["after_seconds"], one["mode"], one["notify"]) for one in steps] == [
        (120, "broadcast", False),
        (600, None, True),
    ]


def test_new__shows_a_fault_at_its_step(house: House, editor: Operator) -> None:
    fields = fields_of(editor.get(f"{POOLS}new/")) | {"name": "Night desk"}
    fields |= {"steps-rows": 2, "steps-0-after": "1 min", "steps-0-notify": "on"}
    answer = editor.post(f"{POOLS}new/", **fields, **{"steps-1-after": "2 min"})
    first, second = answer.context["steps"].forms
    assert (first.errors, list(second.errors)) == ({}, ["after"])
    assert "This step changes nothing." in text_of(answer)
    assert not Pool.objects.filter(name="Night desk").exists()


# --- change ---------------------------------------------------------------------------------------


def test_edit__shows_the_effect_before_it_saves(house: House, editor: Operator) -> None:
    worker_in(house.pool)
    house.queued(title="Call the owner")
    fields = fields_of(editor.get(page(house, "edit/")))
    fields |= {"offer_mode": "broadcast", "broadcast_to": 2}
    answer = editor.post(page(house, "edit/"), **fields)
    shown = text_of(answer)
    assert "1 task waits for this pool." in shown
    assert "offered at once 1 1" in shown
    assert "workers who get an offer 1 2" in shown
    assert Pool.objects.get(id=house.pool.id).offer_mode == "sequential"
    assert actions() == []
    # What is changed after the effect was shown is shown again.
    other = editor.post(page(house, "edit/"), **{**fields_of(answer), "broadcast_to": 3})
    assert "Nothing is saved yet." in text_of(other)
    saved = editor.post(page(house, "edit/"), **fields_of(other))
    assert (saved.status_code, saved["Location"]) == (302, page(house))
    changed = Pool.objects.get(id=house.pool.id)
    assert (changed.offer_mode, changed.broadcast_to) == ("broadcast", 3)
    (entry,) = AuditEvent.objects.filter(action="pool.changed")
    assert entry.data["fields"] == ["broadcast_to", "offer_mode"]


def test_edit__keeps_what_another_operator_changed_meanwhile(
    house: House, editor: Operator
) -> None:
    fields = fields_of(editor.get(page(house, "edit/")))
    Pool.objects.filter(id=house.pool.id).update(misses_until_away=7, description="By night")
    answer = editor.post(page(house, "edit/"), **{**fields, "name": "Reception"})
    assert answer.status_code == 302
    changed = Pool.objects.get(id=house.pool.id)
    assert (changed.name, changed.misses_until_away, changed.description) == (
        "Reception",
        7,
        "By night",
    )


def test_edit__of_nothing_writes_nothing(house: House, editor: Operator) -> None:
    Pool.objects.filter(id=house.pool.id).update(
        description="One line\nand another", offer_seconds={"high": 90}, costs={"call": 2},
    )  # fmt: skip
    policy = {"steps": [{"after_seconds": 60, "boost_seconds": 5}], "at_end": "notify"}
    edited = Pool.objects.get(id=house.pool.id)
    edited.escalation = {
        "steps": [EscalationStep(**step).model_dump(mode="json") for step in policy["steps"]],  # type: ignore[arg-type,misc]
        "at_end": "notify",
    }
    edited.save()
    fields = fields_of(editor.get(page(house, "edit/")))
    fields["description"] = "One line\r\nand another"
    assert editor.post(page(house, "edit/"), **fields).status_code == 302
    assert "Nothing was changed." in editor.text(page(house))
    assert actions() == []


def test_edit__keeps_a_pool_that_is_not_among_the_newest(
    house: House, editor: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ids of one millisecond have no order.
    older_id = UUID(int=house.pool.id.int - 1)
    older = Pool.objects.create(id=older_id, organisation=house.organisation, name="Night desk")
    Pool.objects.create(organisation=house.organisation, name="Day desk")
    step = EscalationStep(after_seconds=60, widen_to_pools=[older.id]).model_dump(mode="json")
    Pool.objects.filter(id=house.pool.id).update(escalation={"steps": [step], "at_end": "wait"})
    monkeypatch.setattr(pools, "MAX_CHOICES", 1)
    answer = editor.get(page(house, "edit/"))
    assert "Night desk" in text_of(answer)
    assert "Day desk" in text_of(answer)
    assert editor.post(page(house, "edit/"), **fields_of(answer)).status_code == 302
    assert "Nothing was changed." in editor.text(page(house))


def test_bounds__are_those_of_the_api() -> None:
    schema = PoolCreation.model_json_schema()["properties"]
    fields: Any = PoolForm().fields
    for name in ("broadcast_to", "misses_until_away", "offers_per_window"):
        known = schema[name]
        found = known if "minimum" in known else known["anyOf"][0]
        bounds = (found["minimum"], found["maximum"])
        assert (fields[name].min_value, fields[name].max_value) == bounds, name
    for name in ("work_seconds", "offer_window_seconds"):
        bounds = (schema[name]["minimum"], schema[name]["maximum"])
        assert (fields[name].least, fields[name].most) == bounds, name
    limits = schema["offer_seconds"]["additionalProperties"]
    assert (fields["offer_low"].least, fields["offer_low"].most) == (
        limits["minimum"],
        limits["maximum"],
    )
    step, steps = EscalationStep.model_json_schema()["properties"], StepForm().fields
    assert steps["boost"].most == step["boost_seconds"]["maximum"]  # type: ignore[attr-defined]
    assert steps["after"].most == step["after_seconds"]["maximum"]  # type: ignore[attr-defined]


# --- reviews --------------------------------------------------------------------------------------


def test_new__takes_a_review_policy(house: House, editor: Operator) -> None:
    fields = fields_of(editor.get(f"{POOLS}new/"))
    fields |= {"name": "Night desk", "review-mode": "sample", "review-percent": "12.5"}
    fields |= {"review-first_tasks": 5, "review-auto_approve_after_hours": 24}
    fields |= {"review-reviewer_pool_id": str(house.pool.id), "review-notify": "on"}
    refused = text_of(editor.post(f"{POOLS}new/", **fields))
    assert "A review is overdue after: Enter a time after which others may review" in refused
    assert editor.post(f"{POOLS}new/", **fields, **{"review-deadline": "4 h"}).status_code == 302
    made = Pool.objects.get(name="Night desk")
    assert made.review_policy == {
        "mode": "sample",
        "sample_share": 0.125,
        "first_tasks": 5,
        "reviewer_pool_id": str(house.pool.id),
        "deadline_seconds": 14_400,
        "auto_approve_after_hours": 24,
        "notify": True,
    }
    shown = editor.text(f"{POOLS}{made.id}/")
    for words in (
        "12.5 % of the tasks; a worker's first 5 tasks",
        f"Editor or a higher role, in {house.pool.name}",
        "Overdue after 4 h",
        "Approved by itself after 1 d",
        "If rejected The task fails",
    ):
        assert words in shown, words


def test_new__needs_the_share_of_a_sample(house: House, editor: Operator) -> None:
    fields = fields_of(editor.get(f"{POOLS}new/")) | {"name": "Desk", "review-mode": "sample"}
    assert "Enter the share of the sample." in text_of(editor.post(f"{POOLS}new/", **fields))


def test_edit__saves_a_review_policy_at_once_and_keeps_what_it_states(
    house: House, editor: Operator
) -> None:
    stored = {"mode": "sample", "sample_share": 1 / 3, "on_reject": "fail"}
    Pool.objects.filter(id=house.pool.id).update(review_policy=stored)
    fields = fields_of(editor.get(page(house, "edit/")))
    assert editor.post(page(house, "edit/"), **fields).status_code == 302
    assert "Nothing was changed." in editor.text(page(house))
    changed = {**fields, "review-mode": "all", "review-required_role": "manager"}
    assert editor.post(page(house, "edit/"), **changed).status_code == 302
    assert Pool.objects.get(id=house.pool.id).review_policy == {
        **stored,
        "mode": "all",
        "required_role": "manager",
    }


def test_edit__keeps_a_typed_review_policy_while_steps_are_edited(
    house: House, editor: Operator
) -> None:
    fields = fields_of(editor.get(page(house, "edit/"))) | {"review-max_rework": "many"}
    fields = fields_of(editor.post(page(house, "edit/"), **fields, edit="add-steps"))
    assert fields["review-max_rework"] == "many"


def test_review_form__has_each_field_and_the_bounds_of_the_api() -> None:
    form: Any = ReviewPolicyForm()
    others = {"sample_share": "percent", "second_look_share": "second_percent"}
    others["deadline_seconds"] = "deadline"
    assert {*form.fields, *others} - {*others.values()} == {*ReviewPolicy.model_fields}
    known = ReviewPolicy.model_json_schema()["properties"]
    bounded = ("first_tasks", "below_rating", "auto_approve_after_hours", "max_rework")
    for name in (*bounded, "appeal_hours"):
        found = known[name] if "minimum" in known[name] else known[name]["anyOf"][0]
        bounds = (found["minimum"], found["maximum"])
        assert (form.fields[name].min_value, form.fields[name].max_value) == bounds, name
    seconds = known["deadline_seconds"]["anyOf"][0]
    deadline = form.fields["deadline"]
    assert (deadline.least, deadline.most) == (seconds["minimum"], seconds["maximum"])


# --- close ----------------------------------------------------------------------------------------


def test_close__asks_first_and_says_what_happens(house: House, editor: Operator) -> None:
    house.queued(requirements={"skills": ["welding"], "worker_pool_id": str(house.pool.id)})
    shown = editor.text(page(house, "close/"))
    assert "1 task waits for this pool. Those for which no other pool is left fail" in shown
    assert Pool.objects.get(id=house.pool.id).status == "active"
    assert editor.post(page(house, "close/")).status_code == 302
    assert Pool.objects.get(id=house.pool.id).status == "closed"
    assert actions() == ["pool.closed"]
    assert "cannot be opened again" in editor.text(page(house))
    assert editor.get(page(house, "edit/"))["Location"] == page(house)


# --- notes ----------------------------------------------------------------------------------------


def test_note__is_shown_to_members_until_it_is_deleted(house: House, editor: Operator) -> None:
    answer = editor.post(page(house, "note/"), text="The depot is closed\r\ntoday.", lasts="8 h")
    assert (answer.status_code, answer["Location"]) == (302, page(house))
    note = PoolNote.objects.get()
    assert (note.text, note.expires_at) == (
        "The depot is closed\ntoday.",
        note.created_at + timedelta(hours=8),
    )
    assert "The depot is closed today." in editor.text(page(house))
    gone = editor.post(page(house, f"note/{note.id}/delete/"))
    assert gone.status_code == 302
    assert not PoolNote.objects.exists()
    editor.post(page(house, f"note/{note.id}/delete/"))
    assert "The note was deleted meanwhile." in editor.text(page(house))
    assert actions() == ["pool_note.created", "pool_note.deleted"]


@pytest.mark.parametrize("fields", [{"text": " "}, {"text": "Hello", "lasts": "5 s"}])
def test_note__says_what_is_wrong(house: House, editor: Operator, fields: Any) -> None:
    answer = editor.post(page(house, "note/"), **fields)
    assert "There is a problem" in text_of(answer)
    assert (PoolNote.objects.count(), actions()) == (0, [])


def test_note__is_not_for_viewers(house: House, viewer: Operator) -> None:
    assert viewer.get(page(house, "note/")).status_code == 403
    assert viewer.post(page(house, "note/"), text="Hello").status_code == 403
    assert viewer.post(page(house, f"note/{NO_ID}/delete/")).status_code == 403
    assert not PoolNote.objects.exists()
