"""Test the pages of workers: who sees them, what they show, and what they change."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail

from apps.accounts.mail import wait_for_mails
from apps.accounts.models import ApiKey, AuditEvent, Invitation, Member
from apps.accounts.scopes import Role
from apps.accounts.selectors import authenticate_key
from apps.base import clock
from apps.console.forms.workers import TraitsForm
from apps.matching import services as matching
from apps.pools.models import Certification, CertificationClaim, Membership, Pool, Worker
from biolayer.requests.pools import WorkerChange
from tests.claim_steps import PDF, claimed
from tests.console.pool_steps import Operator, actions, fields_of, operator_of, text_of
from tests.factories import NO_ID, PASSWORD, House, member_of, worker_in
from tests.pages.steps import browser, submit

WORKERS = "/admin/pools/worker/"
CLAIMS = "/admin/pools/claim/"


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def admin(house: House) -> Operator:
    return operator_of(house, Role.ADMIN)


@pytest.fixture
def editor(house: House) -> Operator:
    return operator_of(house, Role.EDITOR)


@pytest.fixture
def viewer(house: House) -> Operator:
    return operator_of(house, Role.VIEWER)


def page(house: House, rest: str = "") -> str:
    return f"{WORKERS}{house.bobs_worker.id}/{rest}"


def bob() -> Worker:
    return Worker.objects.get(name__startswith="Bob")


# --- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ["", "edit/", "end/"])
def test_pages__are_for_the_organisation_and_its_roles(
    house: House, viewer: Operator, editor: Operator, rest: str
) -> None:
    assert editor.get(page(house, rest)).status_code == 200
    assert viewer.get(page(house, rest)).status_code == (403 if rest else 200)
    stranger, _ = worker_in(house.strangers_pool)
    for worker_id in (stranger.id, NO_ID):
        assert editor.get(f"{WORKERS}{worker_id}/{rest}").status_code == 404
    answer = browser().get(page(house, rest))
    assert answer["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize(
    ("rest", "fields"),
    [
        ("edit/", {"name": "Rob"}),
        ("end/", {"action": "delete"}),
        ("presence/", {"presence": "offline"}),
        ("join/", {"pool": NO_ID}),
        ("leave/", {"pool": NO_ID}),
        ("key/", {}),
        ("link/", {"member": NO_ID}),
        ("unlink/", {"member": NO_ID}),
    ],
)
def test_calls__of_a_viewer_are_refused_and_change_nothing(
    house: House, viewer: Operator, rest: str, fields: Any
) -> None:
    before = Worker.objects.filter(id=house.bobs_worker.id).values().get()
    keys = ApiKey.objects.count()
    answer = viewer.post(page(house, rest), **fields)
    # Without the right to use keys the page of the worker says so.
    assert answer.status_code == (302 if rest == "key/" else 403)
    assert Worker.objects.filter(id=house.bobs_worker.id).values().get() == before
    assert ApiKey.objects.count() == keys
    assert actions() == []


def test_invitations__are_for_admins(house: House, editor: Operator, admin: Operator) -> None:
    assert editor.get(f"{WORKERS}invite/").status_code == 403
    assert admin.get(f"{WORKERS}invite/").status_code == 200
    answer = editor.post(f"{WORKERS}invite/", email="ida@northwind.example", name="Ida")
    assert answer.status_code == 403
    assert not Invitation.objects.exists()


# --- list -----------------------------------------------------------------------------------------


def test_list__shows_workers(
    house: House, viewer: Operator, django_assert_max_num_queries: Any
) -> None:
    other = Pool.objects.create(organisation=house.organisation, name="Back desk")
    agent, key = worker_in(other, name="Crate Agent", kind="agent", presence="offline", rating=4.5)
    Membership.objects.create(organisation=house.organisation, pool=house.pool, worker=agent)
    assert key.get("/v1/workers/me").status_code == 200
    worker_in(house.strangers_pool, name="Ann Stranger")
    with django_assert_max_num_queries(6):
        shown = viewer.text(WORKERS)
    assert "Bob Ashdown Person Available Load: 0 of 1 Front desk" in shown
    agent = "Crate Agent Agent Offline Load: 0 of 1 Rating: 4.5 (10) Front desk, Back desk"
    assert f"{agent} Last seen: " in shown
    assert f"{clock.now():%d}" in shown.rpartition("Last seen: ")[2]
    assert "Stranger" not in shown


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=ash", ["Bob Ashdown"]),
        ("q=Bob+Ashd", ["Bob Ashdown"]),
        ("q=shdown", []),
        ("q=%2A%3A%26%21", []),
        ("presence=free", ["Bob Ashdown"]),
        ("presence=away", ["Zoe Quill"]),
        ("kind=agent", ["Zoe Quill"]),
        ("kind=nothing", ["Bob Ashdown", "Zoe Quill"]),
        ("pool=nonsense", []),
        (f"pool={NO_ID}", []),
    ],
)
def test_list__is_narrowed(house: House, viewer: Operator, query: str, names: list[str]) -> None:
    worker_in(house.pool, name="Zoe Quill", kind="agent", presence="away")
    shown = viewer.text(f"{WORKERS}?{query}")
    assert [name for name in ("Bob Ashdown", "Zoe Quill") if name in shown] == names


def test_list__finds_by_pool_and_id(house: House, viewer: Operator) -> None:
    other = Pool.objects.create(organisation=house.organisation, name="Back desk")
    worker, _ = worker_in(other, name="Zoe Quill")
    for query in (f"pool={other.id}", f"q={worker.id}"):
        shown = viewer.text(f"{WORKERS}?{query}")
        assert "Zoe Quill" in shown
        assert "Bob Ashdown" not in shown


# --- page -----------------------------------------------------------------------------------------


def test_worker__shows_its_day_and_open_work(
    house: House, viewer: Operator, django_assert_max_num_queries: Any
) -> None:
    run = house.started(title="Call the owner")
    with django_assert_max_num_queries(16):
        shown = viewer.text(page(house))
    assert "Call the owner has it since" in shown
    assert "Offer Call the owner accepted" in shown
    assert "Work Call the owner under way" in shown
    answer = viewer.get(page(house))
    drawing = answer.context["day"]
    assert [bar.kind for bar in drawing.runs] == ["running"]
    assert [bar.kind for bar in drawing.offers] == ["accepted"]
    assert (drawing.hours[0].x, drawing.hours[0].width) == (0, 1000)
    day_before = viewer.text(page(house, f"?day={clock.now() - timedelta(days=1):%Y-%m-%d}"))
    assert "No offer and no work on this day." not in day_before
    assert "Call the owner has it since" in day_before
    assert run.task.title in shown


def test_worker__shows_work_that_ended(house: House, viewer: Operator) -> None:
    house.completed(title="Call the owner")
    shown = viewer.text(page(house))
    assert "No work and no open offer." in shown
    assert "Call the owner" in shown.partition("Last work")[2]


def test_worker__shows_working_hours_across_a_change_of_clocks(
    house: House, viewer: Operator
) -> None:
    Worker.objects.filter(id=house.bobs_worker.id).update(
        hours={"mon": [["09:00", "12:00"], ["13:00", "24:00"]]}, time_zone="Europe/Berlin"
    )
    viewer.client.cookies["time_zone"] = "Europe/Berlin"
    today = clock.now().date()
    monday = today - timedelta(days=today.weekday() or 7)
    shown = viewer.text(page(house, f"?day={monday}"))
    assert "Working hours: 09:00\N{EN DASH}12:00, 13:00\N{EN DASH}24:00" in shown
    assert "Mon 09:00\N{EN DASH}12:00, 13:00\N{EN DASH}24:00" in shown


def test_worker__says_why_it_gets_no_offers(house: House, viewer: Operator) -> None:
    for columns, words in (
        ({"presence": "away", "presence_reason": "missed_offers"}, "Away (missed several offers"),
        ({"presence": "available", "presence_reason": "", "is_on_shift": False}, "Outside working"),
        ({"is_on_shift": True, "snoozed_until": clock.now() + timedelta(hours=1)}, "Paused until"),
    ):
        Worker.objects.filter(id=house.bobs_worker.id).update(**columns)
        assert words in viewer.text(page(house)), words


# --- actions --------------------------------------------------------------------------------------


def test_presence__is_set_by_an_operator(house: House, editor: Operator) -> None:
    assert editor.post(page(house, "presence/"), presence="away").status_code == 302
    assert (bob().presence, bob().presence_reason) == ("away", "operator")
    assert actions() == ["worker.changed"]
    editor.post(page(house, "presence/"), presence="asleep")
    assert "Choose a presence." in editor.text(page(house))
    assert bob().presence == "away"


def test_pools__are_joined_and_left(house: House, editor: Operator) -> None:
    other = Pool.objects.create(organisation=house.organisation, name="Back desk")
    editor.post(page(house, "join/"), pool=str(other.id))
    editor.post(page(house, "leave/"), pool=str(house.pool.id))
    pools = Membership.objects.filter(worker=bob()).values_list("pool__name", flat=True)
    assert list(pools) == ["Back desk"]
    assert actions() == ["pool_member.added", "pool_member.removed"]
    assert editor.post(page(house, "join/"), pool=str(house.strangers_pool.id)).status_code == 404


def test_end__deactivates_and_keeps_the_history(house: House, editor: Operator) -> None:
    house.completed()
    editor.post(page(house, "end/"), action="delete")
    assert "It was offered tasks before" in editor.text(page(house, "end/"))
    editor.post(page(house, "end/"), action="deactivate")
    assert "In no pool: it is offered nothing." in editor.text(page(house))
    assert (bob().presence, Membership.objects.filter(worker=bob()).count()) == ("offline", 0)
    assert actions() == ["worker.changed", "pool_member.removed"]


def test_end__deletes_a_worker_without_history(house: House, editor: Operator) -> None:
    answer = editor.post(page(house, "end/"), action="delete")
    assert answer["Location"] == WORKERS
    assert not Worker.objects.filter(id=house.bobs_worker.id).exists()
    assert actions() == ["worker.deleted"]


def test_key__is_shown_once(house: House, admin: Operator) -> None:
    answer = admin.post(page(house, "key/"))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    known = authenticate_key(answer.context["secret"])
    assert known is not None
    assert (known.principal.worker_id, known.principal.scopes) == (bob().id, {"work"})
    assert answer.context["secret"] not in admin.text(page(house))
    assert answer.context["key_id"] in admin.text(page(house))
    assert actions() == ["api_key.created"]


# --- edit -----------------------------------------------------------------------------------------


def test_edit__sends_what_was_changed_alone(house: House, editor: Operator) -> None:
    Worker.objects.filter(id=house.bobs_worker.id).update(
        skills=["phone", "welding"], skill_levels={"welding": 3}, languages=["de", "pt-br"],
        hours={"mon": [["09:00", "17:00"]]}, time_zone="Europe/Berlin",
    )  # fmt: skip
    ends_at = datetime(2031, 3, 31, 12, 30, tzinfo=UTC)
    Certification.objects.create(
        organisation=house.organisation, worker=bob(), code="first-aid", expires_at=ends_at
    )
    fields = fields_of(editor.get(page(house, "edit/")))
    assert fields["skills"] == "phone 1\nwelding 3"
    assert editor.post(page(house, "edit/"), **fields).status_code == 302
    assert actions() == []
    Worker.objects.filter(id=house.bobs_worker.id).update(capacity=9)
    fields |= {
        "skills": "phone: 2\nwelding, sewing 5",
        "tue": "22:00-24:00, 08:00 \N{EN DASH} 9:30",
    }
    answer = editor.post(page(house, "edit/"), **fields)
    assert answer.status_code == 302, text_of(answer)
    changed = bob()
    assert changed.skill_levels == {"phone": 2, "sewing": 5}
    assert changed.hours["tue"] == [["08:00", "09:30"], ["22:00", "24:00"]]
    assert (changed.capacity, changed.certifications.get().expires_at) == (9, ends_at)
    (entry,) = AuditEvent.objects.filter(action="worker.changed")
    assert entry.data["fields"] == ["hours", "skill_levels", "skills"]


def test_edit__adds_a_certification_without_a_script(house: House, editor: Operator) -> None:
    fields = fields_of(editor.get(page(house, "edit/")))
    fields = fields_of(editor.post(page(house, "edit/"), **fields, edit="add-certifications"))
    fields |= {"certifications-0-code": "First Aid", "certifications-0-expires_on": "2031-03-31"}
    answer = editor.post(page(house, "edit/"), **fields)
    assert "This has characters that are not allowed." in text_of(answer)
    assert not Certification.objects.exists()
    fields |= {"certifications-0-code": "first-aid", "time_zone": "Asia/Tokyo"}
    assert editor.post(page(house, "edit/"), **fields).status_code == 302
    held = Certification.objects.get()
    assert (held.code, held.expires_at) == ("first-aid", datetime(2031, 3, 31, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("skills", "phone 6", "is no skill with a level from 1 to 5."),
        ("skills", "Phone", "Skills: This has characters that are not allowed."),
        ("mon", "9-17", "Enter spans such as 09:00-12:00, 13:00-17:00."),
        ("mon", "17:00-09:00", "The end must be after the beginning, on the same day."),
        ("sun", "08:00-12:00, 11:00-13:00", "These hours overlap."),
        ("time_zone", "Berlin", "Choose a time zone from the list."),
        ("languages", "english!", "This has characters that are not allowed."),
        ("capacity", "0", "greater than or equal to 1"),
        ("name", " ", "This field is required."),
    ],
)
def test_edit__says_what_is_wrong(
    house: House, editor: Operator, field: str, text: str, words: str
) -> None:
    fields = fields_of(editor.get(page(house, "edit/")))
    answer = editor.post(page(house, "edit/"), **{**fields, field: text})
    assert words in text_of(answer)
    assert answer.context["form"].errors.keys() == {field}
    assert actions() == []


def test_bounds__are_those_of_the_api() -> None:
    schema = WorkerChange.model_json_schema()["properties"]
    fields: Any = TraitsForm().fields
    for name in ("trust_level", "capacity"):
        bounds = (schema[name]["minimum"], schema[name]["maximum"])
        assert (fields[name].min_value, fields[name].max_value) == bounds, name


# --- create ---------------------------------------------------------------------------------------


def test_new__creates_an_agent_with_its_key(house: House, admin: Operator) -> None:
    fields = fields_of(admin.get(f"{WORKERS}new/?pool={house.pool.id}"))
    assert fields["pools"] == [str(house.pool.id)]
    fields |= {"name": "Crate Agent", "kind": "agent", "with_key": "on", "skills": "phone 4"}
    answer = admin.post(f"{WORKERS}new/", **fields)
    made = Worker.objects.get(name="Crate Agent")
    known = authenticate_key(answer.context["secret"])
    assert known is not None
    assert known.principal.worker_id == made.id
    assert (made.kind, made.skill_levels, made.presence) == ("agent", {"phone": 4}, "offline")
    assert Membership.objects.get(worker=made).pool_id == house.pool.id
    assert actions() == ["worker.created", "api_key.created"]


def test_key__of_a_worker_is_for_admins_to_give(house: House) -> None:
    manager = operator_of(house, Role.MANAGER)
    assert "New key" not in manager.text(page(house))
    keys = ApiKey.objects.count()
    manager.post(page(house, "key/"))
    assert "The worker has no key:" in manager.text(page(house))
    assert (ApiKey.objects.count(), actions()) == (keys, [])


def test_new__of_an_editor_has_no_key(house: House, editor: Operator) -> None:
    fields = fields_of(editor.get(f"{WORKERS}new/")) | {"name": "Crate Agent", "with_key": "on"}
    assert editor.post(f"{WORKERS}new/", **fields).status_code == 302
    assert actions() == ["worker.created"]


def test_new__refuses_another_organisations_pool(house: House, editor: Operator) -> None:
    fields = fields_of(editor.get(f"{WORKERS}new/")) | {"name": "Crate Agent"}
    fields["pools"] = [str(house.strangers_pool.id)]
    answer = editor.post(f"{WORKERS}new/", **fields)
    assert list(answer.context["form"].errors) == ["pools"]
    assert not Worker.objects.filter(name="Crate Agent").exists()


# --- claims ---------------------------------------------------------------------------------------


def test_claims__are_confirmed(house: House, editor: Operator, viewer: Operator) -> None:
    claim = claimed(house.bob.principal)
    assert "waits for a check" in editor.text(page(house))
    assert "waits for a check" not in viewer.text(page(house))
    answer = editor.get(f"{CLAIMS}{claim.id}/document/")
    assert b"".join(answer.streaming_content) == PDF
    assert answer["Content-Disposition"].startswith("attachment")
    assert viewer.get(f"{CLAIMS}{claim.id}/document/").status_code == 403
    assert viewer.post(f"{CLAIMS}{claim.id}/decide/", action="confirm").status_code == 403
    editor.post(f"{CLAIMS}{claim.id}/decide/", action="confirm")
    assert Certification.objects.get(worker=bob()).code == "soc-operator"
    editor.post(f"{CLAIMS}{claim.id}/decide/", action="confirm")
    assert "It has been decided meanwhile." in editor.text(page(house))
    assert actions() == ["certificate.read", "certification.confirmed"]


def test_claims__are_rejected_with_a_reason(house: House, editor: Operator) -> None:
    claim = claimed(house.bob.principal)
    editor.post(f"{CLAIMS}{claim.id}/decide/", action="reject", reason=" ")
    assert "Say why it is rejected" in editor.text(page(house))
    assert CertificationClaim.objects.get().status == "pending"
    editor.post(f"{CLAIMS}{claim.id}/decide/", action="reject", reason="It cannot be read.")
    assert CertificationClaim.objects.get().reason == "It cannot be read."
    assert editor.get(f"{CLAIMS}{NO_ID}/document/").status_code == 404


# --- people ---------------------------------------------------------------------------------------


def test_link__makes_a_member_the_worker(house: House, admin: Operator) -> None:
    member = member_of(house.organisation, "ida@northwind.example")
    assert "ida@northwind.example" in admin.text(page(house))
    admin.post(page(house, "link/"), member=str(member.id))
    assert bob().user_id == member.user_id
    admin.post(page(house, "unlink/"), member=str(member.id))
    assert bob().user_id is None
    admin.post(page(house, "link/"), member=NO_ID)
    assert "no member any longer" in admin.text(page(house))
    assert actions() == ["worker.changed", "worker.changed"]


def invitation(house: House, **changes: Any) -> dict[str, Any]:
    fields = {"email": "ida@northwind.example", "pools": [str(house.pool.id)]}
    return {**fields, **changes}


def test_invite__makes_a_worker_of_who_joins(
    house: House, admin: Operator, django_capture_on_commit_callbacks: Any
) -> None:
    fields = invitation(house, email="Ida@northwind.example", name="Ida Holm", skills="phone, it")
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin.post(f"{WORKERS}invite/", **fields)
    assert answer.status_code == 302, text_of(answer)
    wait_for_mails()
    (message,) = mail.outbox
    assert message.to == ["ida@northwind.example"]
    assert actions() == ["invitation.created"]
    assert "ida@northwind.example Ida Holm · Front desk" in admin.text(f"{WORKERS}invite/")
    again = admin.post(f"{WORKERS}invite/", **fields)
    assert "has an open invitation already" in text_of(again)
    link = re.search(r"/accounts/invitations/\S+", str(message.body))
    assert link is not None
    joined = submit(browser(), link[0], name="Ida", password=PASSWORD)
    assert joined.status_code == 302, joined
    made = Worker.objects.get(name="Ida Holm")
    member = Member.objects.get(user=made.user)
    assert (made.skills, member.role) == (["phone", "it"], "worker")
    assert Membership.objects.get(worker=made).pool_id == house.pool.id


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"email": "ida"}, "email", "Enter a valid email address."),
        ({"skills": "Phone!"}, "skills", "This has characters that are not allowed."),
        ({"pools": []}, "pools", "Choose at least one pool."),
        ({"pools": [NO_ID]}, "pools", "not one of the available choices"),
    ],
)
def test_invite__says_what_is_wrong(
    house: House, admin: Operator, changes: Any, field: str, words: str
) -> None:
    answer = admin.post(f"{WORKERS}invite/", **invitation(house, **changes))
    assert words in text_of(answer)
    assert list(answer.context["form"].errors) == [field]
    assert (Invitation.objects.count(), actions()) == (0, [])


def test_invite__refuses_a_member(house: House, admin: Operator) -> None:
    fields = invitation(house, email=Member.objects.get(role="admin").user.email)
    answer = admin.post(f"{WORKERS}invite/", **fields)
    assert "This person is a member already." in text_of(answer)
    assert actions() == []


def test_invitations__are_sent_again_and_revoked(house: House, admin: Operator) -> None:
    admin.post(f"{WORKERS}invite/", **invitation(house))
    row = Invitation.objects.get()
    admin.post(f"{WORKERS}invite/{row.id}/resend/")
    assert bytes(Invitation.objects.get().token_hash) != bytes(row.token_hash)
    admin.post(f"{WORKERS}invite/{row.id}/revoke/")
    assert Invitation.objects.get().revoked_at is not None
    assert "No invitation is open." in admin.text(f"{WORKERS}invite/")
    admin.post(f"{WORKERS}invite/{row.id}/resend/")
    assert "It was accepted or revoked meanwhile." in admin.text(f"{WORKERS}invite/")
    assert admin.post(f"{WORKERS}invite/{NO_ID}/revoke/").status_code == 404


def test_open_offers__lead_to_the_task(house: House, viewer: Operator) -> None:
    task = house.queued(title="Call the owner")
    assert matching.match_queued() == 1
    shown = viewer.get(page(house)).content.decode()
    assert f'href="/admin/tasks/task/{task.id}/#actions"' in shown
    assert "is offered until" in viewer.text(page(house))
