"""Test tokens of OAuth 2.0 that are requested, renewed and ended at the same time."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.test import Client
from oauth2_provider.models import AccessToken, RefreshToken

from apps.accounts.models import AuditEvent, OAuthApplication, OAuthConsent
from apps.accounts.scopes import Role
from apps.accounts.selectors import principal_of_member
from apps.accounts.services import delete_oauth_application, revoke_consent
from apps.api.http import oauth
from apps.base import clock
from tests.api.oauth_flow import VERIFIER, add_member
from tests.api.oauth_steps import CALLBACK, created, credentials_manager
from tests.concurrency.together import queued_up, together
from tests.factories import Caller, House

Call = Callable[[], Any]


class Partner:
    """Act as a client that a member lets act for them."""

    def __init__(self, house: House) -> None:
        self.member = add_member(house.organisation, "mara@northwind.example", Role.EDITOR)
        self.manager = credentials_manager(house)
        self._made = created(self.manager)
        self._browser = Client()
        self._browser.force_login(self.member.user)

    @property
    def application(self) -> OAuthApplication:
        return OAuthApplication.objects.get()

    def code(self) -> str:
        asked = {
            "response_type": "code",
            "client_id": self._made["client_id"],
            "redirect_uri": CALLBACK,
            "code_challenge": create_s256_code_challenge(VERIFIER),
            "code_challenge_method": "S256",
        }
        url = f"/oauth/authorize?{urlencode(asked)}"
        answer = self._browser.post(url, {"decision": "allow"})
        return parse_qs(urlsplit(answer["Location"]).query)["code"][0]

    def exchange(self, code: str) -> Call:
        return self._call(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": CALLBACK,
                "code_verifier": VERIFIER,
            }
        )

    def refresh(self, token: str) -> Call:
        return self._call({"grant_type": "refresh_token", "refresh_token": token})

    def _call(self, form: dict[str, str]) -> Call:
        known = {name: self._made[name] for name in ("client_id", "client_secret")}
        return lambda: Client().post("/oauth/token", {**form, **known}, secure=True)

    def tokens(self) -> dict[str, str]:
        found: dict[str, str] = self.exchange(self.code())().json()
        return found

    def delete(self) -> None:
        client_id = self._made["client_id"]
        actor = self.manager.principal
        delete_oauth_application(actor=actor, client_id=client_id, at=clock.now())

    def revoke(self) -> None:
        consent_id = OAuthConsent.objects.get().id
        actor = principal_of_member(self.member)
        revoke_consent(actor=actor, consent_id=consent_id, at=clock.now())


@pytest.fixture
def partner(house: House, monkeypatch: pytest.MonkeyPatch) -> Partner:
    monkeypatch.setattr(oauth, "CALLS_PER_ADDRESS", 10_000)
    return Partner(house)


def outcomes(answers: list[Any]) -> list[Any]:
    return sorted(answer.json().get("error", answer.status_code) for answer in answers if answer)


def is_valid(access_token: str) -> bool:
    return bool(Caller(access_token).get("/v1/tasks").status_code == 200)


def expect_one_of_many(answers: list[Any], what: str) -> None:
    """Assert that one got tokens, which the others ended: one of them is a thief."""
    granted = [answer.json() for answer in answers if answer.status_code == 200]
    refused = [answer.json()["error"] for answer in answers if answer.status_code != 200]
    assert (len(granted), set(refused)) == (1, {"invalid_grant"})
    assert not is_valid(granted[0]["access_token"])
    assert AccessToken.objects.count() == 0
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()
    (reused,) = AuditEvent.objects.filter(action="oauth_token.reused")
    assert reused.data["token"] == what


def test_a_code__is_exchanged_once(partner: Partner) -> None:
    expect_one_of_many(together(*[partner.exchange(partner.code())] * 8), "code")


def test_a_refresh_token__is_used_once(partner: Partner) -> None:
    token = partner.tokens()["refresh_token"]
    expect_one_of_many(together(*[partner.refresh(token)] * 8), "refresh_token")


def test_a_deletion_that_waits_for_an_exchange__ends_its_tokens(partner: Partner) -> None:
    key = partner.application.pk
    exchange = partner.exchange(partner.code())
    with queued_up(exchange, partner.delete, behind="accounts_oauthapplication", key=key) as calls:
        pass
    assert outcomes([calls[0].result()]) == [200]
    assert calls[1].result() is None
    assert not is_valid(calls[0].result().json()["access_token"])
    assert (AccessToken.objects.count(), RefreshToken.objects.count()) == (0, 0)


def test_an_exchange_that_waits_for_a_deletion__gets_nothing(partner: Partner) -> None:
    key = partner.application.pk
    exchange = partner.exchange(partner.code())
    with queued_up(partner.delete, exchange, behind="accounts_oauthapplication", key=key) as calls:
        pass
    assert calls[0].result() is None
    assert outcomes([calls[1].result()]) == ["invalid_client"]
    assert AccessToken.objects.count() == 0


def test_a_revocation_that_waits_for_a_refresh__ends_its_tokens(partner: Partner) -> None:
    refresh = partner.refresh(partner.tokens()["refresh_token"])
    key = OAuthConsent.objects.get().id
    with queued_up(refresh, partner.revoke, behind="accounts_oauthconsent", key=key) as calls:
        pass
    assert outcomes([calls[0].result()]) == [200]
    assert calls[1].result() is None
    partner.code()
    assert not is_valid(calls[0].result().json()["access_token"])
    assert AccessToken.objects.count() == 0


def test_a_refresh_that_waits_for_a_revocation__gets_nothing(partner: Partner) -> None:
    refresh = partner.refresh(partner.tokens()["refresh_token"])
    key = OAuthConsent.objects.get().id
    with queued_up(partner.revoke, refresh, behind="accounts_oauthconsent", key=key) as calls:
        pass
    assert outcomes([calls[1].result()]) == ["invalid_grant"]
    assert AccessToken.objects.count() == 0


def test_a_revocation_and_a_deletion__do_not_wait_for_each_other(partner: Partner) -> None:
    partner.tokens()
    key = OAuthConsent.objects.get().id
    with queued_up(
        partner.revoke, partner.delete, behind="accounts_oauthconsent", key=key
    ) as calls:
        pass
    assert [call.result() for call in calls] == [None, None]
    assert OAuthConsent.objects.count() == AccessToken.objects.count() == 0


def test_consents_of_two_tabs__are_one(partner: Partner) -> None:
    codes = together(*[partner.code] * 4)
    assert len(set(codes)) == 4
    assert OAuthConsent.objects.count() == 1
    assert AuditEvent.objects.filter(action="oauth_grant.created").count() == 1
