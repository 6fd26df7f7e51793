"""Test the pages of members, invitations, settings, API keys and OAuth applications."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from apps.accounts.mail import wait_for_mails
from apps.accounts.models import ApiKey, BrowserSession, Invitation, Member, OAuthApplication
from apps.accounts.scopes import Role
from apps.accounts.selectors import authenticate_key
from apps.accounts.services import invite, issue_key
from apps.base import clock
from apps.pools.models import Worker
from tests.console.steps import Console, console_of, recorded, words
from tests.factories import House, admin_key, member_of

JO = "jo@northwind.example"
SHOWN_ONCE = re.compile(r'class="secret"[^>]*>([^<]+)<')


@pytest.fixture
def ada(house: House) -> Console:
    """Provide an admin."""
    return console_of(house)


@pytest.fixture
def mara(house: House) -> Console:
    """Provide a manager."""
    return console_of(house, Role.MANAGER)


def secret_of(answer: Any) -> str:
    found = SHOWN_ONCE.search(answer.content.decode())
    assert found is not None, words(answer)
    return found[1].strip()


# --- members --------------------------------------------------------------------------------------


def test_members__are_listed_and_found(
    house: House, ada: Console, django_assert_max_num_queries: Any
) -> None:
    member_of(house.organisation, JO, role=Role.EDITOR)
    member_of(house.strangers_pool.organisation, "eve@contoso.example")
    with django_assert_max_num_queries(6):
        text = ada.text("accounts/member/")
    assert JO in text
    assert "contoso" not in text
    assert "jo@" in ada.text("accounts/member/?role=editor&q=jo")
    assert "jo@" not in ada.text("accounts/member/?role=viewer")
    assert "Invite a person" not in console_of(house, Role.VIEWER).text("accounts/member/")


def test_role__is_changed(house: House, ada: Console) -> None:
    member = member_of(house.organisation, JO)
    answer = ada.post(f"accounts/member/{member.id}/role/", role="editor")
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/accounts/member/{member.id}/")
    member.refresh_from_db()
    assert member.role == "editor"
    expected = {"role": "editor", "previous_role": "viewer"}
    assert recorded(house) == [("member.changed", "member", expected)]


def test_last_admin__keeps_role_and_membership(house: House, ada: Console) -> None:
    own = f"accounts/member/{ada.member.id}/"
    answer = ada.post(f"{own}role/", role="viewer")
    assert answer.status_code == 200
    assert "The only admin keeps the role" in words(answer)
    answer = ada.post(f"{own}remove/")
    assert answer.status_code == 200
    assert "The only admin cannot be removed" in words(answer)
    ada.member.refresh_from_db()
    assert ada.member.role == "admin"
    assert recorded(house) == []


def test_member__is_removed_after_the_question(house: House, ada: Console) -> None:
    member = member_of(house.organisation, JO)
    path = f"accounts/member/{member.id}/remove/"
    assert f"{JO} loses access" in ada.text(path)
    assert Member.objects.filter(id=member.id).exists()
    answer = ada.post(path)
    assert answer["Location"] == "/admin/accounts/member/"
    assert not Member.objects.filter(id=member.id).exists()
    assert [action for action, _, _ in recorded(house)] == ["member.removed"]


def test_session_of_a_member__is_ended_by_an_admin(house: House, ada: Console) -> None:
    member = member_of(house.organisation, JO)
    other = member_of(house.strangers_pool.organisation, JO)
    theirs = Client()
    theirs.force_login(member.user)
    session = BrowserSession.objects.get(user=member.user)
    page = f"accounts/member/{member.id}/"
    assert "End" in ada.text(page)
    strangers = ada.post(f"accounts/member/{other.id}/sessions/{session.id}/end/")
    assert strangers.status_code == 404
    assert theirs.get("/accounts/").status_code == 200
    assert ada.post(f"{page}sessions/{session.id}/end/").status_code == 302
    assert theirs.get("/accounts/").status_code == 302
    facts = {"session_id": str(session.id), "revoked": True}
    assert recorded(house) == [("session.ended", "member", facts)]
    assert ada.post(f"{page}sessions/{session.id}/end/").status_code == 404


def test_sessions__are_for_admins(house: House, mara: Console) -> None:
    member = member_of(house.organisation, JO)
    Client().force_login(member.user)
    assert "Sessions" not in mara.text(f"accounts/member/{member.id}/")


def test_worker__is_unlinked(house: House, ada: Console) -> None:
    member = member_of(house.organisation, JO, role=Role.WORKER)
    Worker.objects.filter(id=house.bobs_worker.id).update(user=member.user)
    page = f"accounts/member/{member.id}/"
    assert str(house.bobs_worker.id) in ada.text(page)
    assert ada.post(f"{page}unlink/").status_code == 302
    assert Worker.objects.get(id=house.bobs_worker.id).user_id is None


# --- invitations ----------------------------------------------------------------------------------


def test_invitation__of_a_worker_is_sent_sent_again_and_revoked(house: House, ada: Console) -> None:
    answer = ada.post("accounts/member/invite/", email="Jo@Northwind.example", role="worker")
    assert answer["Location"] == "/admin/accounts/invitation/"
    wait_for_mails()
    assert mail.outbox[-1].to == [JO]
    row = Invitation.objects.get()
    assert (row.email, row.role) == (JO, "worker")
    text = ada.text("accounts/invitation/")
    assert "Open" in text
    assert "Worker" in text
    page = f"accounts/invitation/{row.id}/"
    assert "Invited by" in ada.text(page)
    assert ada.member.user.get_full_name() in ada.text(page)
    assert ada.post(f"{page}resend/").status_code == 302
    wait_for_mails()
    assert len(mail.outbox) == 2
    assert ada.post(f"{page}revoke/").status_code == 302
    row.refresh_from_db()
    assert row.revoked_at is not None
    ada.post(f"{page}resend/")
    assert "accepted or revoked meanwhile" in ada.text(page)
    names = [action for action, _, _ in recorded(house)]
    assert names == ["invitation.created", "invitation.created", "invitation.revoked"]


def test_invitation__says_why_its_mail_was_not_sent(house: House, ada: Console) -> None:
    actor = admin_key(house.organisation).principal
    row = invite(actor=actor, email=JO, role=Role.VIEWER, at=clock.now())
    wait_for_mails()
    Invitation.objects.update(sent_at=None, mail_error="SMTPRecipientsRefused: unknown")
    assert "Not sent" in ada.text("accounts/invitation/")
    assert "SMTPRecipientsRefused: unknown" in ada.text(f"accounts/invitation/{row.id}/")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"email": "nonsense", "role": "viewer"}, "Enter a valid email address."),
        ({"email": JO, "role": "viewer"}, "This person is a member already."),
        ({"email": "kim@northwind.example", "role": "viewer"}, "has an open invitation"),
        ({"email": "lee@northwind.example", "role": "owner"}, "Select a valid choice"),
    ],
)
def test_invitation__is_refused(
    house: House, ada: Console, fields: dict[str, str], problem: str
) -> None:
    member_of(house.organisation, JO)
    actor = admin_key(house.organisation).principal
    invite(actor=actor, email="kim@northwind.example", role=Role.VIEWER, at=clock.now())
    answer = ada.post("accounts/member/invite/", **fields)
    assert answer.status_code == 200
    assert problem in words(answer)
    assert Invitation.objects.count() == 1


# --- settings -------------------------------------------------------------------------------------

SETTINGS = {"name": "Northwind", "retain_days": "30", "allowed_networks": ""}


def test_settings__are_saved(house: House, ada: Console) -> None:
    fields = {**SETTINGS, "requires_second_factor": "", "allowed_networks": "127.0.0.1\n10.0.0.0/8"}
    assert ada.post("accounts/organisation/", **fields).status_code == 302
    house.organisation.refresh_from_db()
    assert house.organisation.allowed_networks == ["127.0.0.1/32", "10.0.0.0/8"]
    assert house.organisation.retain_days == 30
    changed = {"fields": ["allowed_networks", "name", "retain_days"]}
    assert recorded(house) == [("organisation.changed", "member", changed)]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"allowed_networks": "10.0.0.0/8"}, "you would be locked out"),
        ({"allowed_networks": "here"}, "Enter addresses or CIDR blocks"),
        ({"retain_days": "0"}, "greater than or equal to 1"),
    ],
)
def test_settings__are_refused(
    house: House, ada: Console, fields: dict[str, str], problem: str
) -> None:
    answer = ada.post("accounts/organisation/", **{**SETTINGS, **fields})
    assert answer.status_code == 200
    assert problem in words(answer)
    assert "Your address is 127.0.0.1." in words(answer)
    house.organisation.refresh_from_db()
    assert (house.organisation.name, recorded(house)) == ("Northwind Verification", [])


def test_settings__are_read_by_viewers(house: House) -> None:
    viewer = console_of(house, Role.VIEWER)
    answer = viewer.get("accounts/organisation/")
    assert "Save the settings" not in words(answer)
    assert viewer.post("accounts/organisation/", **SETTINGS).status_code == 403


# --- API keys -------------------------------------------------------------------------------------

KEY = {"name": "Desk", "mode": "live", "scopes": ["tasks:read", "tasks:create"], "role": "editor"}


def test_key__is_created_and_its_secret_shown_once(house: House, mara: Console) -> None:
    networks = {"allowed_networks": "198.51.100.0/24", "expires_in": "30"}
    answer = mara.post("accounts/apikey/create/", **KEY, pool_ids=[str(house.pool.id)], **networks)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    key = authenticate_key(secret_of(answer))
    assert key is not None
    assert key.principal.pool_ids == {house.pool.id}
    row = ApiKey.objects.get(id=key.principal.key_id)
    assert row.allowed_networks == ["198.51.100.0/24"]
    assert row.expires_at is not None
    assert timedelta(days=29) < row.expires_at - clock.now() < timedelta(days=31)
    assert row.created_by == f"member:{mara.member.id}"
    secret = secret_of(answer)
    page = mara.get(f"accounts/apikey/{row.id}/").content.decode()
    assert secret not in page
    assert f"bl_live_{row.id}" in page
    assert all(secret not in str(value) for value in mara.client.session.values())
    assert [action for action, _, _ in recorded(house)] == ["api_key.created"]


def test_key__of_the_sandbox_is_marked(house: House, mara: Console) -> None:
    answer = mara.post("accounts/apikey/create/", **{**KEY, "mode": "test"})
    assert secret_of(answer).startswith("bl_test_")
    assert "Sandbox" in mara.text("accounts/apikey/")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scopes": []}, "This field is required."),
        ({"scopes": ["organisation:manage"]}, "Select a valid choice"),
        ({"role": "admin"}, "Select a valid choice"),
        ({"role": "viewer"}, "A scope needs a higher role than this one."),
        ({"allowed_networks": "here"}, "Enter addresses or CIDR blocks"),
        ({"pool_ids": ["01890a5d-ac96-774b-bcce-b302099a8057"]}, "Select a valid choice"),
    ],
)
def test_key__is_refused(
    house: House, mara: Console, changes: dict[str, Any], problem: str
) -> None:
    before = ApiKey.objects.count()
    answer = mara.post("accounts/apikey/create/", **{**KEY, **changes})
    assert answer.status_code == 200
    assert problem in words(answer)
    assert (ApiKey.objects.count(), recorded(house)) == (before, [])


def test_key_form__shows_what_its_reader_can_give(house: House, ada: Console) -> None:
    managers = console_of(house, Role.MANAGER).get("accounts/apikey/create/").content.decode()
    assert 'value="credentials:manage"' in managers
    assert 'value="organisation:manage"' not in managers
    assert 'value="admin"' not in managers
    admins = ada.get("accounts/apikey/create/").content.decode()
    assert 'value="organisation:manage"' in admins


def test_key__is_rotated_with_two_valid_secrets(house: House, mara: Console) -> None:
    first = secret_of(mara.post("accounts/apikey/create/", **KEY))
    key = authenticate_key(first)
    assert key is not None
    key_id = key.principal.key_id
    ApiKey.objects.update(last_used_at=clock.now())
    page = f"accounts/apikey/{key_id}/"
    second = secret_of(mara.post(f"{page}rotate/", overlap_seconds="3600"))
    assert all(authenticate_key(one) is not None for one in (first, second))
    text = mara.text(page)
    assert text.count("bl_live_") == 2
    ApiKey.objects.update(last_used_at=clock.now())
    refused = mara.post(f"{page}rotate/", overlap_seconds="3600")
    assert refused.status_code == 200
    assert "Two secrets are valid" in words(refused)
    third = secret_of(mara.post(f"{page}rotate/", overlap_seconds="0"))
    valid = [authenticate_key(one) is not None for one in (first, second, third)]
    assert valid == [False, False, True]
    names = [action for action, _, _ in recorded(house)]
    assert names == ["api_key.created", "api_key.rotated", "api_key.rotated"]


def test_key__is_revoked_after_the_question(house: House, mara: Console) -> None:
    text = issue_key(organisation_id=house.organisation.id, name="Old backend")
    key = authenticate_key(text)
    assert key is not None
    page = f"accounts/apikey/{key.principal.key_id}/"
    assert "Revoke Old backend?" in mara.text(f"{page}revoke/")
    assert authenticate_key(text) is not None
    assert mara.post(f"{page}revoke/").status_code == 302
    assert authenticate_key(text) is None
    assert "Revoked" in mara.text(page)
    assert "Make a new secret" not in mara.text(page)
    assert "Revoked" in mara.text("accounts/apikey/")
    assert mara.post(f"{page}rotate/", overlap_seconds="0").status_code == 200


def test_key__that_may_more_than_the_manager_is_not_rotated(house: House, mara: Console) -> None:
    text = issue_key(organisation_id=house.organisation.id, name="Boss", role=Role.ADMIN)
    key = authenticate_key(text)
    assert key is not None
    answer = mara.post(f"accounts/apikey/{key.principal.key_id}/rotate/", overlap_seconds="0")
    assert answer.status_code == 200
    assert "You do not have this yourself" in words(answer)
    assert recorded(house) == []


def test_keys__are_listed_by_few_statements(
    house: House, mara: Console, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        secret = secret_of(mara.post("accounts/apikey/create/", **{**KEY, "name": f"K{number}"}))
        key = authenticate_key(secret)
        assert key is not None
        ApiKey.objects.filter(id=key.principal.key_id).update(last_used_at=clock.now())
        mara.post(f"accounts/apikey/{key.principal.key_id}/rotate/", overlap_seconds="3600")
    with django_assert_max_num_queries(6):
        text = mara.text("accounts/apikey/")
    assert text.count("Active") >= 5
    assert "K3" in mara.text("accounts/apikey/?q=K3")


# --- OAuth applications ---------------------------------------------------------------------------

CLIENT = {
    "name": "Partner",
    "client_type": "confidential",
    "grant_types": ["authorization_code"],
    "redirect_uris": "https://partner.example/back",
    "scopes": ["tasks:read"],
    "role": "viewer",
}


def test_application__is_created_rotated_and_deleted(house: House, mara: Console) -> None:
    answer = mara.post("accounts/oauthapplication/create/", **CLIENT)
    first = secret_of(answer)
    assert "no-store" in answer["Cache-Control"]
    row = OAuthApplication.objects.get()
    assert row.redirect_uris == "https://partner.example/back"
    page = f"accounts/oauthapplication/{row.client_id}/"
    assert first not in mara.text(page)
    assert "https://partner.example/back" in mara.text(page)
    assert "Partner" in mara.text("accounts/oauthapplication/")
    second = secret_of(mara.post(f"{page}rotate/"))
    assert second != first
    assert "Delete Partner?" in mara.text(f"{page}delete/")
    assert mara.post(f"{page}delete/").status_code == 302
    assert not OAuthApplication.objects.exists()
    names = [action for action, _, _ in recorded(house)]
    assert names == [
        "oauth_application.created",
        "oauth_application.changed",
        "oauth_application.deleted",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"redirect_uris": ""}, "is needed for the grant type authorization_code"),
        ({"redirect_uris": "ftp://partner.example"}, "Begin with https://."),
        ({"scopes": ["audit:read"]}, "A scope needs a higher role"),
        ({"scopes": ["work"]}, "Select a valid choice"),
    ],
)
def test_application__is_refused(
    house: House, mara: Console, changes: dict[str, Any], problem: str
) -> None:
    answer = mara.post("accounts/oauthapplication/create/", **{**CLIENT, **changes})
    assert answer.status_code == 200
    assert problem in words(answer)
    assert not OAuthApplication.objects.exists()


def test_public_application__has_no_secret(house: House, mara: Console) -> None:
    answer = mara.post("accounts/oauthapplication/create/", **{**CLIENT, "client_type": "public"})
    assert "A public application has no secret." in words(answer)
    row = OAuthApplication.objects.get()
    page = f"accounts/oauthapplication/{row.client_id}/"
    assert mara.post(f"{page}rotate/").status_code == 302
    assert "A public application has no secret." in mara.text(page)


def test_unreadable_ids__are_404(house: House, mara: Console) -> None:
    for path in ("apikey/a%00b/", "apikey/x/", "oauthapplication/a%00b/", "oauthapplication/x/"):
        assert mara.get(f"accounts/{path}").status_code == 404
