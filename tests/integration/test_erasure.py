"""Test `manage.py erase_subject`: what it finds, what it erases, what it keeps and why."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import ApiKey, AuditEvent, Member, User
from apps.accounts.principal import system
from apps.accounts.scopes import Role
from apps.accounts.services import create_organisation, invite
from apps.base import clock
from apps.notices.models import Device, Notice, Preference
from apps.operations.models import RunDetails, TaskDetails
from apps.pools.models import Certification, CertificationClaim, Worker
from apps.tasks import services as tasks
from apps.tasks.models import StoredFile, Task
from tests.bridge_steps import completed
from tests.claim_steps import claimed
from tests.factories import House
from tests.notice_steps import bob_signs_in, choose_notices, subscribed
from tests.operator_steps import desk_of
from tests.receiver import Receiver
from tests.retention_steps import CANARY, found, full_task

PHONE = "+49 30 901820"
OPEN = "the task is open: cancel it, or wait for its end"
NATURAL_KEY = "product and request_id are the natural key: send ids that name nothing"
RESULTS = "outputs and evidence are kept until the end of the tasks' retention"


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def erase(house: House, *arguments: str) -> list[str]:
    out = StringIO()
    call_command("erase_subject", str(house.organisation.id), *arguments, stdout=out)
    tasks.delete_due_files()
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_a_text__is_only_reported_without_apply(house: House) -> None:
    full_task(house)
    assert erase(house, "--text", CANARY.upper()) == [
        "1 tasks whose content has the text: would be erased",
        "Nothing was changed. Run it again with --apply.",
    ]
    assert len(found()) > 5
    assert AuditEvent.objects.filter(action="subject.erased").count() == 0


def test_a_text__is_erased_with_the_tasks_that_have_it(house: House) -> None:
    named = full_task(house)
    other = house.completed()
    assert erase(house, "--text", CANARY, "--apply") == [
        "1 tasks whose content has the text: erased"
    ]
    assert found() == []
    named.refresh_from_db()
    other.refresh_from_db()
    assert (named.purged_at is None, other.purged_at is None) == (False, True)
    (entry,) = AuditEvent.objects.filter(action="subject.erased")
    assert (entry.data, entry.subject_id) == ({"erased": 1, "kept": 0}, "")


@pytest.mark.parametrize(
    "text", ['Jörg "Rock" Müller', "Hauptstr. 5\n10827 Berlin", "DOMAIN\\joerg", "50%_off"]
)
def test_a_text__is_found_however_json_writes_it(house: House, text: str) -> None:
    house.completed(context={"background": f"Ask {text}, please"})
    house.completed(context={"background": "Ask DOMAINjoerg about 50 xx off, please"})
    assert erase(house, "--text", text)[0] == "1 tasks whose content has the text: would be erased"


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (RunDetails, {"review_reason": f"Call {PHONE}"}),
        (RunDetails, {"missing_work": [f"Call {PHONE}"]}),
        (RunDetails, {"guidance": PHONE}),
        (RunDetails, {"metadata": {"to": PHONE}}),
        (TaskDetails, {"circuit_reason": PHONE}),
        (TaskDetails, {"metadata": {"to": PHONE}}),
    ],
)
def test_a_text__is_found_in_what_operators_and_reviewers_wrote(
    house: House, model: Any, values: dict[str, Any]
) -> None:
    desk = desk_of(house)
    for session_id in ("s-1", "s-2"):
        completed(desk, desk.task()["id"], session_id)
    row = model.objects.latest("pk")
    model.objects.filter(pk=row.pk).update(**values)
    assert erase(house, "--text", PHONE, "--apply") == [
        "1 tasks whose content has the text: erased"
    ]
    assert Task.objects.get(purged_at__isnull=False).id == row.task_id
    assert erase(house, "--text", PHONE) == ["nothing found"]


def test_a_text__is_kept_where_it_must_be(house: House) -> None:
    title = f"Call {PHONE}"
    logged = house.completed(title=title, audit={"log_required": True, "retain_days": 30})
    held, is_open = house.completed(title=title), house.task(title=title)
    key = {"product": "desk", "request_id": PHONE}
    keyed = house.task(origin=key)
    house.alice.post(f"/v1/tasks/{keyed.id}/cancel")
    actor = system("test", house.organisation.id)
    tasks.place_hold(actor=actor, task_id=held.id, reason="Case 1", at=clock.now())
    report = erase(house, "--text", PHONE, "--apply")
    assert report == [
        "1 tasks whose content has the text: kept: legal hold",
        "1 tasks whose content has the text: kept: log_required, until the end of its retention",
        f"1 tasks whose content has the text: kept: {OPEN}",
        f"1 natural keys of tasks: kept: {NATURAL_KEY}",
    ]
    assert Task.objects.filter(purged_at=None).count() == 4
    assert {logged.title, held.title, is_open.title} == {title}


def test_a_text__of_another_organisation_is_not_touched(house: House) -> None:
    full_task(house)
    theirs = create_organisation(name="Elsewhere Ltd")
    out = StringIO()
    call_command("erase_subject", str(theirs.id), "--text", CANARY, "--apply", stdout=out)
    assert out.getvalue() == "nothing found\n"
    assert len(found()) > 5


@pytest.mark.parametrize("arguments", [[], ["--text", "ab"], ["--text", "   x   "]])
def test_too_little__is_refused(house: House, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        erase(house, *arguments)


def test_a_worker__gets_a_pseudonym(house: House) -> None:
    task = full_task(house)
    bob = house.bobs_worker
    Worker.objects.filter(id=bob.id).update(
        skills=["phone"], languages=["de"], hours={"mon": [["09:00", "17:00"]]}
    )
    Certification.objects.create(
        organisation=house.organisation, worker=bob, code="soc", issuer="Ashdown Academy"
    )
    report = erase(house, "--worker", str(bob.id), "--apply")
    assert report == [
        "1 workers: name, skills, languages, hours: erased",
        "1 certificates of the worker: erased",
        "1 API keys of the worker: erased",
        "1 tasks in which the worker may have written: reasons, drafts, messages: erased",
        f"1 tasks with the worker's results: kept: {RESULTS}",
        "1 declined offers with the worker's reason: erased",
    ]
    assert found("Ashdown") == []
    bob.refresh_from_db()
    assert (bob.name, bob.skills, bob.hours) == (f"Erased worker {bob.id.hex[-6:]}", [], {})
    assert ApiKey.objects.get(worker_id=bob.id).revoked_at is not None
    assert house.bob.get("/v1/offers").status_code == 401
    task.refresh_from_db()
    assert task.output == {"notes": CANARY}
    assert {*Worker.objects.values_list("id", flat=True)} >= {task.worker_id}
    # Again, it only finds what is kept.
    again = erase(house, "--worker", str(bob.id), "--apply")
    assert not any("erased" in line and "workers" in line for line in again)


def test_a_member__is_removed_and_named_no_more(house: House) -> None:
    person: Any = User.objects.create_user("wendy@northwind.example", name="Wendy")
    Member.objects.create(organisation=house.organisation, user=person)
    assert erase(house, "--email", "Wendy@northwind.example", "--apply") == [
        "1 memberships of the organisation: erased",
        "1 accounts: name, e-mail, password: erased",
    ]
    assert found("wendy") == []
    person.refresh_from_db()
    assert (person.is_active, person.has_usable_password()) == (False, False)
    assert erase(house, "--email", "wendy@northwind.example") == ["nothing found"]


def test_an_invited_person_who_never_joined__is_erased(house: House) -> None:
    admin = system("shell", house.organisation.id)
    invite(actor=admin, email="wendy@northwind.example", role=Role.VIEWER, at=clock.now())
    assert erase(house, "--email", "Wendy@northwind.example", "--apply") == [
        "1 invitations to the organisation: erased"
    ]
    assert found("wendy") == []


def test_a_member_of_two_organisations__stays_in_the_other(house: House) -> None:
    person: Any = User.objects.create_user("wendy@northwind.example", name="Wendy")
    other = create_organisation(name="Elsewhere Ltd")
    for organisation in (house.organisation, other):
        Member.objects.create(organisation=organisation, user=person)
    report = erase(house, "--email", "wendy@northwind.example", "--apply")
    assert report[1].endswith("kept: the account is a member of other organisations")
    assert [member.organisation_id for member in Member.objects.all()] == [other.id]


def test_a_worker__is_told_nothing_any_more(house: House, receiver: Receiver) -> None:
    bob_signs_in(house)
    bob = house.bob.principal
    choose_notices(bob, by_email=True)
    subscribed(bob, receiver)
    house.offered()
    claimed(bob)
    report = erase(house, "--worker", str(house.bobs_worker.id))
    assert "1 notices: what the worker is told, and when: would be erased" in report
    assert "1 notices: the worker's browsers: would be erased" in report
    assert "1 claimed certificates of the worker, with their documents: would be erased" in report
    assert Preference.objects.count() == 1
    erase(house, "--worker", str(house.bobs_worker.id), "--apply")
    rows = (Preference, Device, Notice, CertificationClaim, StoredFile)
    assert [model.objects.count() for model in rows] == [0] * len(rows)


def test_a_member__is_told_nothing_any_more(house: House, receiver: Receiver) -> None:
    bob_signs_in(house, "wendy@northwind.example")
    subscribed(house.bob.principal, receiver)
    assert "1 notices: the worker's browsers: erased" in erase(
        house, "--email", "wendy@northwind.example", "--apply"
    )
    assert Device.objects.count() == 0
