"""Test what the installation's own staff see: which organisations exist, and one by a reason."""

import io
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from apps.accounts.mail import wait_for_mails
from apps.accounts.models import BrowserSession, StaffAccess, User
from apps.accounts.scopes import Role
from apps.accounts.services import make_superuser, remove_superuser
from apps.base import clock
from tests.console.steps import Console, console_of, recorded, words
from tests.factories import PASSWORD, House, member_of
from tests.pages.steps import browser

SAM = "sam@biolayer.example"
REASON = "Support case 4711 of Northwind"
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def sam(house: House) -> Console:
    """Provide a superuser with a second factor, who is a member of nothing."""
    user = make_superuser(email=SAM, password=PASSWORD)
    TOTP.activate(user, SECRET)
    client = browser()
    client.force_login(user)
    client.raise_request_exception = True
    return Console(client, None)  # type: ignore[arg-type]


def read(sam: Console, house: House, **changes: Any) -> Any:
    fields = {"reason": REASON, "minutes": "30", **changes}
    return sam.post(f"organisations/{house.organisation.id}/read/", **fields)


def test_staff__sees_which_organisations_exist(
    house: House, sam: Console, django_assert_max_num_queries: Any
) -> None:
    task = house.queued()
    with django_assert_max_num_queries(6):
        text = sam.text("organisations/")
    assert "Northwind Verification" in text
    assert "Contoso Audits" in text
    counts = {one.name: open_ for one, open_ in sam.get("organisations/").context["organisations"]}
    assert counts == {"Northwind Verification": 1, "Contoso Audits": 0}
    assert task.title not in text
    assert "Contoso" not in sam.text("organisations/?q=northwind").partition("Created")[2]
    assert sam.get(f"tasks/task/{task.id}/")["Location"] == "/admin/organisations/"


def test_access__is_recorded_and_told_to_the_admins(house: House, sam: Console) -> None:
    admin = member_of(house.organisation, "ada@northwind.example", role=Role.ADMIN)
    member_of(house.organisation, "jo@northwind.example", role=Role.MANAGER)
    task = house.queued()
    answer = read(sam, house)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    access = StaffAccess.objects.get()
    ((action, kind, data),) = recorded(house)
    assert (action, kind, data["reason"]) == ("staff.access_opened", "staff", REASON)
    wait_for_mails()
    assert [message.to for message in mail.outbox] == [[admin.user.email]]
    assert REASON in str(mail.outbox[0].body)
    page = sam.text(f"tasks/task/{task.id}/")
    assert "You read Northwind Verification as staff" in page
    assert REASON in page
    ada = console_of(house, Role.ADMIN)
    assert "Staff of the installation began to read" in ada.text("accounts/auditevent/")
    assert str(access.id) in ada.text(f"accounts/auditevent/?subject={access.id}")


def test_access__reads_and_changes_nothing(house: House, sam: Console) -> None:
    read(sam, house)
    member = member_of(house.organisation, "jo@northwind.example")
    answer = sam.post(f"accounts/member/{member.id}/role/", role="editor")
    assert answer.status_code == 403
    assert "Staff of the installation read, and change nothing." in words(answer)
    for path in ("accounts/apikey/", "accounts/auditevent/", "accounts/member/invite/"):
        assert sam.get(path).status_code == 403
    member.refresh_from_db()
    assert member.role == "viewer"


def test_access__has_no_scope_of_evidence(house: House, sam: Console) -> None:
    read(sam, house)
    actor = sam.get("accounts/member/").context["request"].actor
    assert (actor.kind, actor.role) == ("staff", "viewer")
    assert actor.scopes == {"tasks:read", "webhooks:read", "pools:read", "organisation:read"}


def test_access__is_of_one_session(house: House, sam: Console) -> None:
    read(sam, house)
    other = browser()
    other.force_login(User.objects.get(email=SAM))
    assert other.get("/admin/")["Location"] == "/admin/organisations/"
    assert sam.get("").status_code == 200


def test_access__is_closed(house: House, sam: Console) -> None:
    read(sam, house)
    assert sam.post("organisations/close/")["Location"] == "/admin/organisations/"
    assert sam.get("")["Location"] == "/admin/organisations/"
    assert [action for action, _, _ in recorded(house)] == [
        "staff.access_opened",
        "staff.access_closed",
    ]
    sam.post("organisations/close/")
    assert len(recorded(house)) == 2


def test_access__to_another_organisation_closes_the_first(house: House, sam: Console) -> None:
    read(sam, house)
    path = f"organisations/{house.strangers_pool.organisation_id}/read/"
    assert sam.post(path, reason=REASON, minutes="15").status_code == 302
    assert "You read Contoso Audits" in sam.text("accounts/member/")
    assert [action for action, _, _ in recorded(house)][-1] == "staff.access_closed"
    assert StaffAccess.objects.filter(closed_at=None).count() == 1


def expire(house: House) -> None:
    at = clock.now()
    StaffAccess.objects.update(
        opened_at=at - timedelta(minutes=40), expires_at=at - timedelta(minutes=10)
    )


def lose_superuser(house: House) -> None:
    remove_superuser(email=SAM, at=clock.now())


def lose_factor(house: House) -> None:
    Authenticator.objects.all().delete()


def lose_address(house: House) -> None:
    house.organisation.allowed_networks = ["10.0.0.0/8"]
    house.organisation.save()


@pytest.mark.parametrize(
    ("loss", "status"),
    [(expire, 302), (lose_superuser, 302), (lose_factor, 302), (lose_address, 403)],
)
def test_access__ends_at_once(house: House, sam: Console, loss: Any, status: int) -> None:
    read(sam, house)
    assert sam.get("").status_code == 200
    loss(house)
    assert sam.get("").status_code == status


def test_superuser_who_is_removed__closes_what_is_open(house: House, sam: Console) -> None:
    read(sam, house)
    lose_superuser(house)
    assert [action for action, _, _ in recorded(house)][-1] == "staff.access_closed"
    assert sam.get("organisations/").status_code == 404


def test_session_that_ends__ends_the_access(house: House, sam: Console) -> None:
    read(sam, house)
    BrowserSession.objects.all().delete()
    assert "/accounts/login/" in sam.get("")["Location"]
    sam.client.force_login(User.objects.get(email=SAM))
    assert sam.get("")["Location"] == "/admin/organisations/"


@pytest.mark.parametrize(
    "changes", [{"reason": "short"}, {"reason": "   x        "}, {"minutes": "61"}]
)
def test_access__is_refused(house: House, sam: Console, changes: dict[str, str]) -> None:
    answer = read(sam, house, **changes)
    assert answer.status_code == 200
    assert "There is a problem" in words(answer)
    assert not StaffAccess.objects.exists()
    assert recorded(house) == []


def test_access__of_more_than_an_hour_is_refused_by_the_database(
    house: House, sam: Console
) -> None:
    read(sam, house)
    later = clock.now() + timedelta(hours=2)
    with pytest.raises(IntegrityError), transaction.atomic():
        StaffAccess.objects.update(expires_at=later)


def test_member_who_is_a_superuser__acts_as_a_member(house: House) -> None:
    ada = console_of(house, Role.ADMIN)
    make_superuser(email=ada.member.user.email, password=None)
    TOTP.activate(ada.member.user, SECRET)
    # A new factor ends the other sessions.
    ada.client.force_login(ada.member.user)
    assert ada.get("accounts/member/invite/").status_code == 200
    path = f"organisations/{house.strangers_pool.organisation_id}/read/"
    ada.post(path, reason=REASON, minutes="15")
    assert ada.get("accounts/member/invite/").status_code == 403
    ada.post("organisations/close/")
    assert ada.get("accounts/member/invite/").status_code == 200


# --- the command ----------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("set_superuser", *arguments, stdout=output)
    return output.getvalue()


def test_command__makes_and_removes_a_superuser(house: House) -> None:
    member = member_of(house.organisation, SAM)
    printed = run("Sam@BioLayer.example")
    assert "/accounts/two-factor/" in printed
    member.user.refresh_from_db()
    assert member.user.is_superuser
    run(SAM, "--remove")
    member.user.refresh_from_db()
    assert not member.user.is_superuser


def test_command__knows_no_stranger(database: None) -> None:
    with pytest.raises(CommandError, match="no one has the address"):
        run("nobody@biolayer.example")
    with pytest.raises(CommandError, match="no one has the address"):
        run("nobody@biolayer.example", "--remove")
