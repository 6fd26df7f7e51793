"""Test the pages of an account: organisations, sessions, invitations, second factors, passwords."""

import base64
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.core import mail
from django.test import Client

from apps.accounts.mail import wait_for_mails
from apps.accounts.models import AuditEvent, BrowserSession, Member, Organisation, User
from apps.accounts.scopes import Role
from apps.accounts.services import create_organisation, invite
from apps.base import clock
from tests.factories import House, admin_key, member_of
from tests.pages.steps import MARA, PASSWORD, browser, person, sign_in, submit

JO = "jo@northwind.example"
SECRET = base64.b32encode(b"a-secret-of-20-bytes").decode()


def signed_in(email: str = MARA) -> Client:
    client = browser()
    assert sign_in(client, email).status_code == 302
    return client


def text(client: Client, path: str = "/accounts/") -> str:
    answer = client.get(path, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


def code() -> str:
    return format_hotp_value(hotp_value(SECRET, int(time.time()) // 30))


@pytest.fixture
def mara(house: House) -> User:
    """Provide an admin of Alice's organisation."""
    return member_of(house.organisation, MARA, role=Role.ADMIN).user


@pytest.mark.parametrize(
    "page",
    [
        "",
        "organisations/",
        "sessions/",
        "applications/",
        "two-factor/",
        "two-factor/webauthn/",
        "two-factor/recovery-codes/generate/",
        "password/change/",
        "password/reset/",
        "reauthenticate/",
        "logout/",
        "none/",
    ],
)
def test_pages__are_not_stored_by_any_cache(house: House, mara: User, page: str) -> None:
    answer = signed_in().get(f"/accounts/{page}")
    assert "no-store" in answer["Cache-Control"]
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        ("inactive/", "This account is closed"),
        ("confirm-email/", "Confirm your address"),
        ("confirm-email/abc/", "This link no longer works"),
    ],
)
def test_pages_of_allauth__are_in_our_words(page: str, heading: str) -> None:
    content = browser().get(f"/accounts/{page}").content.decode()
    assert f"<h1>{heading}</h1>" in content
    assert content.count("/accounts/login/") >= 1


@pytest.mark.parametrize("page", ["password/change/", "reauthenticate/"])
def test_password_forms__name_the_account(house: House, mara: User, page: str) -> None:
    named = f'<input type="email" autocomplete="username" value="{MARA}" hidden>'
    assert named in signed_in().get(f"/accounts/{page}").content.decode()


# --- organisations --------------------------------------------------------------------------------


def test_organisation__is_changed(house: House, mara: User) -> None:
    other = create_organisation(name="Contoso Shelves")
    member_of(other, MARA)
    client = signed_in()
    assert '<span class="bar-organisation">Northwind Verification' in text(client)
    answer = submit(
        client, "/accounts/", to="/accounts/organisations/switch/", organisation_id=str(other.id)
    )
    assert answer.status_code == 302
    assert '<span class="bar-organisation">Contoso Shelves' in text(client)
    # A removed membership acts at once.
    Member.objects.filter(organisation=other).delete()
    assert '<span class="bar-organisation">Northwind Verification' in text(client)


def test_organisation_of_others__is_not_found(house: House, mara: User) -> None:
    client = signed_in()
    stranger = house.strangers_pool.organisation_id
    for unknown in (str(stranger), "not-an-id"):
        answer = submit(
            client, "/accounts/", to="/accounts/organisations/switch/", organisation_id=unknown
        )
        assert answer.status_code == 404


def test_networks__hold_for_sessions(house: House, mara: User) -> None:
    client = signed_in()
    Organisation.objects.filter(id=house.organisation.id).update(allowed_networks=["192.0.2.0/24"])
    answer = client.get("/accounts/")
    assert answer.status_code == 403
    assert "This network is not allowed" in answer.content.decode()
    # Another organisation can be chosen, and the person can sign out.
    assert client.get("/accounts/organisations/").status_code == 200
    assert client.get("/accounts/", REMOTE_ADDR="192.0.2.7").status_code == 200


# --- sessions -------------------------------------------------------------------------------------


def test_sessions__are_listed_and_ended(house: House, mara: User) -> None:
    phone = browser(**{"User-Agent": "Mozilla/5.0 (iPhone) Safari/605"})
    sign_in(phone)
    client = signed_in()
    page = text(client, "/accounts/sessions/")
    assert "Safari on iPhone" in page
    assert page.count("This browser") == 1
    ended = re.search(r"/accounts/sessions/[\w-]+/end/", page)
    assert ended is not None
    assert submit(client, "/accounts/sessions/", to=ended[0]).status_code == 302
    assert phone.get("/accounts/").status_code == 302
    assert client.get("/accounts/").status_code == 200
    assert AuditEvent.objects.filter(action="session.ended").count() == 1


def test_session_of_others__is_not_found(house: House, mara: User) -> None:
    member_of(house.organisation, JO)
    other = signed_in(JO)
    client = signed_in()
    foreign = BrowserSession.objects.get(user__email=JO)
    answer = submit(client, "/accounts/sessions/", to=f"/accounts/sessions/{foreign.id}/end/")
    assert answer.status_code == 404
    assert other.get("/accounts/").status_code == 200


def test_all_other_sessions__are_ended(house: House, mara: User) -> None:
    others, client = [signed_in(), signed_in()], signed_in()
    assert (
        submit(client, "/accounts/sessions/", to="/accounts/sessions/end-others/").status_code
        == 302
    )
    assert [other.get("/accounts/").status_code for other in others] == [302, 302]
    assert client.get("/accounts/").status_code == 200


def test_last_seen__is_written_at_most_once_a_minute(house: House, mara: User) -> None:
    client = signed_in()
    first = BrowserSession.objects.get(user=mara).last_seen_at
    text(client)
    assert BrowserSession.objects.get(user=mara).last_seen_at == first
    BrowserSession.objects.update(last_seen_at=first - timedelta(minutes=2))
    text(client)
    assert BrowserSession.objects.get(user=mara).last_seen_at > first


# --- passwords ------------------------------------------------------------------------------------


def test_password_change__ends_other_sessions(house: House, mara: User) -> None:
    other, client = signed_in(), signed_in()
    new = "another-horse-battery-10"
    answer = submit(
        client, "/accounts/password/change/", oldpassword=PASSWORD, password1=new, password2=new
    )
    assert answer.status_code == 302
    assert other.get("/accounts/").status_code == 302
    assert client.get("/accounts/").status_code == 200
    assert "password.changed" in actions()
    wait_for_mails()
    assert "changed" in str(mail.outbox[-1].body)


@pytest.mark.parametrize("weak", ["short", "1qaz2wsx3edc", "123456789012345", "mara@northwind.ex"])
def test_weak_password__is_refused(house: House, mara: User, weak: str) -> None:
    client = signed_in()
    answer = submit(
        client, "/accounts/password/change/", oldpassword=PASSWORD, password1=weak, password2=weak
    )
    assert "There is a problem" in answer.content.decode()
    assert User.objects.get(id=mara.id).check_password(PASSWORD)


def test_password_reset__is_by_mail_and_ends_all_sessions(house: House, mara: User) -> None:
    old, client = signed_in(), browser(Host="evil.example")
    answer = submit(client, "/accounts/password/reset/", email=MARA)
    assert answer.status_code == 302
    wait_for_mails()
    link = re.search(
        r"http://localhost:\d+(/accounts/password/reset/key/\S+)", str(mail.outbox[-1].body)
    )
    assert link is not None, mail.outbox[-1].body
    client = browser()
    form = client.get(link[1], follow=True)
    new = "another-horse-battery-10"
    answer = client.post(
        form.redirect_chain[-1][0],
        {
            "csrfmiddlewaretoken": str(form.context["csrf_token"]),
            "password1": new,
            "password2": new,
        },
    )
    assert answer.status_code == 302
    assert old.get("/accounts/").status_code == 302
    assert User.objects.get(id=mara.id).check_password(new)


def test_password_reset__tells_nothing_of_unknown_addresses(house: House, mara: User) -> None:
    known = submit(browser(), "/accounts/password/reset/", email=MARA)
    unknown = submit(browser(), "/accounts/password/reset/", email="stranger@contoso.example")
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    wait_for_mails()
    assert [message.to for message in mail.outbox] == [[MARA]]


# --- second factors -------------------------------------------------------------------------------


def test_required_factor__is_the_only_page_until_it_is_added(house: House, mara: User) -> None:
    client = signed_in()
    Organisation.objects.filter(id=house.organisation.id).update(requires_second_factor=True)
    for path in ("/accounts/", "/accounts/sessions/", "/accounts/password/change/"):
        assert client.get(path)["Location"] == "/accounts/two-factor/"
    assert "requires a second factor" in text(client, "/accounts/two-factor/")
    TOTP.activate(mara, SECRET)
    assert client.get("/accounts/").status_code in (200, 302)
    assert "requires a second factor" not in text(client, "/accounts/two-factor/")


def test_totp_secret__is_encrypted(house: House, mara: User) -> None:
    TOTP.activate(mara, SECRET)
    assert SECRET not in str(Authenticator.objects.get(user=mara, type="totp").data)


def test_sign_in__needs_the_second_factor(house: House, mara: User) -> None:
    TOTP.activate(mara, SECRET)
    client = browser()
    answer = sign_in(client)
    assert answer["Location"] == "/accounts/two-factor/authenticate/"
    assert client.get("/accounts/").status_code == 302
    wrong = submit(client, "/accounts/two-factor/authenticate/", code="000000")
    assert "There is a problem" in wrong.content.decode()
    right = submit(client, "/accounts/two-factor/authenticate/", code=code())
    assert right["Location"] == "/admin/"
    assert client.get("/accounts/").status_code == 200
    recorded = actions()
    assert recorded == ["second_factor.added", "session.refused", "session.started"]
    latest = AuditEvent.objects.order_by("id").last()
    assert latest is not None
    assert latest.data == {"methods": ["password", "totp"]}


def test_second_factor__is_limited_across_browsers(house: House, mara: User) -> None:
    TOTP.activate(mara, SECRET)
    for _ in range(5):
        client = browser()
        sign_in(client)
        submit(client, "/accounts/two-factor/authenticate/", code="000000")
    client = browser()
    sign_in(client)
    answer = submit(client, "/accounts/two-factor/authenticate/", code=code())
    assert "Too many wrong passwords" in answer.content.decode()
    assert client.get("/accounts/").status_code == 302


def test_factor__ends_other_sessions_when_it_changes(house: House, mara: User) -> None:
    other, client = signed_in(), signed_in()
    assert client.get("/accounts/two-factor/totp/activate/").status_code == 302
    submit(client, "/accounts/reauthenticate/", password=PASSWORD)
    page = client.get("/accounts/two-factor/totp/activate/")
    secret = page.context["form"].secret
    value = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    token = str(page.context["csrf_token"])
    answer = client.post(
        "/accounts/two-factor/totp/activate/", {"csrfmiddlewaretoken": token, "code": value}
    )
    assert answer.status_code == 302
    assert other.get("/accounts/").status_code == 302
    assert client.get("/accounts/").status_code == 200
    assert actions().count("second_factor.added") == 2  # the app, and recovery codes


def test_refused_sign_in__is_recorded(house: House, mara: User) -> None:
    sign_in(browser(), password="not the password at all")
    sign_in(browser(), "stranger@contoso.example", "not the password at all")
    entry = AuditEvent.objects.get()
    assert (entry.action, entry.actor_kind, entry.address) == (
        "session.refused",
        "member",
        "127.0.0.1",
    )
    assert entry.data == {"reason": "password"}


# --- invitations ----------------------------------------------------------------------------------


def invited(house: House, email: str = JO) -> str:
    """Return the path of a new invitation's page."""
    invite(
        actor=admin_key(house.organisation).principal, email=email, role=Role.EDITOR, at=clock.now()
    )
    wait_for_mails()
    found = re.search(r"(/accounts/invitations/\S+)", str(mail.outbox[-1].body))
    assert found is not None
    return found[1]


def test_invitation__makes_an_account_that_is_signed_in(house: House) -> None:
    path, client = invited(house), browser()
    assert "Join Northwind Verification" in text(client, path)
    answer = submit(client, path, name="Jo Adeyemi", password=PASSWORD)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert "Jo Adeyemi" in text(client)
    assert Member.objects.get(user__email=JO).role == "editor"
    assert actions() == ["invitation.created", "member.added", "session.started"]
    assert sign_in(browser(), JO).status_code == 302
    assert browser().get(path).status_code == 404


def test_invitation__refuses_a_weak_password(house: House) -> None:
    path, client = invited(house), browser()
    answer = submit(client, path, name="Jo", password="short")
    assert "There is a problem" in answer.content.decode()
    assert not User.objects.exists()


def test_invitation__is_accepted_after_sign_in(house: House) -> None:
    person(JO)
    path, client = invited(house), browser()
    page = text(client, path)
    assert "Sign in, then accept" in page
    assert f"?next={path}" in page
    sign_in(client, JO)
    assert submit(client, path).status_code == 302
    assert Member.objects.get(user__email=JO).role == "editor"


def test_invitation__is_not_for_another_person(house: House) -> None:
    person(MARA)
    path, client = invited(house), signed_in()
    assert "Sign out, then open the link again" in text(client, path)
    submit(client, path)
    assert not Member.objects.exists()


def test_unknown_invitation__is_not_found(database: None) -> None:
    answer: Any = browser().get("/accounts/invitations/unknown/")
    assert answer.status_code == 404
    assert "no longer valid" in answer.content.decode()
