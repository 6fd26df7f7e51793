"""Test what the code flow refuses: codes, requests and refresh tokens, as the RFCs say."""

import base64
import hashlib
from datetime import timedelta
from typing import Any

import httpx
import pytest
from oauth2_provider.models import AccessToken, RefreshToken

from apps.accounts.models import AuditEvent, OAuthCode
from apps.accounts.services.oauth_tokens import REFRESH_IDLE, REFRESH_LIFETIME
from apps.base import clock
from tests.api.oauth_flow import (
    CALLBACK,
    SCOPE,
    VERIFIER,
    Flow,
    error_of,
    parameters,
)

# --- refused: codes -------------------------------------------------------------------------------


def test_a_code_that_is_used_twice__ends_its_tokens(flow: Flow) -> None:
    client = flow.client()
    code = flow.code(client)
    tokens = flow.exchange(client, code).json()
    renewed = flow.refresh(client, tokens["refresh_token"]).json()
    assert error_of(flow.exchange(client, code)) == "invalid_grant"
    assert flow.status(renewed["access_token"]) == 401
    assert error_of(flow.refresh(client, renewed["refresh_token"])) == "invalid_grant"
    reused = AuditEvent.objects.get(action="oauth_token.reused")
    assert (reused.subject_id, reused.data["token"]) == (client.client_id, "code")
    assert (reused.address, reused.organisation_id) == ("127.0.0.1", flow.house.organisation.id)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": "unknown"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": VERIFIER + "x"}, "invalid_grant"),
        ({"redirect_uri": f"{CALLBACK}/"}, "invalid_grant"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
        ({"resource": "https://elsewhere.example/"}, "invalid_target"),
    ],
)
def test_an_exchange__refused(flow: Flow, changes: dict[str, Any], error: str) -> None:
    client = flow.client()
    code = flow.code(client)
    assert error_of(flow.exchange(client, code, **changes)) == error
    assert AccessToken.objects.count() == 0
    assert flow.exchange(client, code).status_code == 200, "the code was not used up"


@pytest.mark.parametrize("sent", [None, CALLBACK])
def test_a_code__whose_request_named_no_redirect_uri(flow: Flow, sent: str | None) -> None:
    """Take the client's own URI as sent or left out (RFC 6749, 4.1.3), and no other."""
    client = flow.client()
    code = flow.code(client, redirect_uri=None)
    assert error_of(flow.exchange(client, code, redirect_uri=f"{CALLBACK}/")) == "invalid_grant"
    assert flow.exchange(client, code, redirect_uri=sent).status_code == 200


def test_a_code__lasts_a_minute(flow: Flow) -> None:
    client = flow.client()
    code = flow.code(client)
    row = OAuthCode.objects.get()
    assert timedelta(seconds=50) < row.expires - clock.now() <= timedelta(seconds=60)
    OAuthCode.objects.update(expires=clock.now())
    assert error_of(flow.exchange(client, code)) == "invalid_grant"


def test_a_code_of_another_client__is_refused(flow: Flow) -> None:
    client, other = flow.client(), flow.client(name="Other")
    code = flow.code(client)
    assert error_of(flow.exchange(other, code)) == "invalid_grant"
    assert AccessToken.objects.count() == 0
    assert flow.exchange(client, code).status_code == 200


@pytest.mark.parametrize("secret", ["wrong", None])
def test_a_confidential_client__needs_its_secret(flow: Flow, secret: str | None) -> None:
    client = flow.client()
    code = flow.code(client)
    client.client_secret = secret
    assert error_of(flow.exchange(client, code), 401) == "invalid_client"
    assert AccessToken.objects.count() == 0


# --- refused: requests ----------------------------------------------------------------------------

PLAIN = {"code_challenge_method": "plain", "code_challenge": VERIFIER}
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        (PLAIN, "invalid_request"),
        ({**PLAIN, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": CHALLENGE}, "invalid_request"),
        ({"code_challenge": "x" * 5000}, "invalid_request"),
        ({"scope": "tasks:read webhooks:manage"}, "invalid_scope"),
        ({"scope": "work"}, "invalid_scope"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"resource": "https://elsewhere.example/"}, "invalid_target"),
    ],
)
def test_a_request__is_returned_to_the_client_with_an_error(
    flow: Flow, changes: dict[str, Any], error: str
) -> None:
    answer = flow.browser.get(flow.request_url(flow.client(), **changes))
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(f"{CALLBACK}?")
    back = parameters(answer.headers["Location"])
    assert (back["error"], back["state"], back["iss"]) == (error, "the-state", flow.url)
    assert OAuthCode.objects.count() == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": f"{CALLBACK}/more"},
        {"redirect_uri": f"{CALLBACK}/"},
        {"redirect_uri": f"{CALLBACK}?next=https://evil.example"},
        {"redirect_uri": f"{CALLBACK}?"},
        {"redirect_uri": f"{CALLBACK}#part"},
        {"redirect_uri": CALLBACK.replace("https", "http")},
        {"redirect_uri": CALLBACK.replace(".example", ".example:8443")},
        {"redirect_uri": CALLBACK.replace(".example", ".example:443")},
        {"redirect_uri": CALLBACK.replace("partner", "PARTNER")},
        {"redirect_uri": CALLBACK.replace("partner", "evil@partner")},
        {"redirect_uri": CALLBACK.replace(".example", ".example.evil.example")},
        {"redirect_uri": CALLBACK.replace("callback", "x/../callback")},
        {"redirect_uri": CALLBACK.replace("callback", "%63allback")},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": ""},
        {"client_id": "unknown"},
        {"client_id": None},
        {"client_id": "a\x00b"},
        {"state": "a\x00b"},
    ],
)
def test_a_request__is_not_returned_to_a_url_that_is_not_the_clients(
    flow: Flow, changes: dict[str, Any]
) -> None:
    answer = flow.browser.get(flow.request_url(flow.client(), **changes))
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert "evil" not in answer.headers.get("Content-Security-Policy", "")
    assert OAuthCode.objects.count() == 0


@pytest.mark.parametrize("query", ["%zz", "a=%ff", "client_id=a&client_id=b", "", "a;b"])
def test_a_query_that_no_client_sends__is_a_page(flow: Flow, query: str) -> None:
    answer = flow.browser.get(httpx.URL(f"{flow.url}/oauth/authorize?{query}"))
    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_client_of_itself__cannot_ask_people(flow: Flow) -> None:
    client = flow.client(grant_types=["client_credentials"], redirect_uris=[])
    client.redirect_uri = CALLBACK
    assert flow.browser.get(flow.request_url(client)).status_code == 400


# --- refused: refresh tokens ----------------------------------------------------------------------


def test_a_refresh_token_that_is_used_twice__ends_its_family(flow: Flow) -> None:
    client = flow.client()
    first = flow.tokens(client)
    second = flow.refresh(client, first["refresh_token"]).json()
    third = flow.refresh(client, second["refresh_token"]).json()
    assert flow.status(third["access_token"]) == 200
    assert error_of(flow.refresh(client, first["refresh_token"])) == "invalid_grant"
    assert flow.status(third["access_token"]) == 401, "the newest access token ended, too"
    assert error_of(flow.refresh(client, third["refresh_token"])) == "invalid_grant"
    assert AuditEvent.objects.filter(action="oauth_token.reused").count() == 1
    assert AccessToken.objects.count() == 0
    # The consent holds: the person is not asked again, and another family is not concerned.
    assert flow.status(flow.tokens(client)["access_token"]) == 200


def test_another_family__is_not_concerned(flow: Flow) -> None:
    client = flow.client()
    first, other = flow.tokens(client), flow.tokens(client)
    flow.refresh(client, first["refresh_token"])
    assert error_of(flow.refresh(client, first["refresh_token"])) == "invalid_grant"
    assert flow.status(other["access_token"]) == 200
    assert flow.refresh(client, other["refresh_token"]).status_code == 200


def test_a_refresh_token_of_another_client__is_refused(flow: Flow) -> None:
    client, other = flow.client(), flow.client(name="Other")
    tokens = flow.tokens(client)
    assert error_of(flow.refresh(other, tokens["refresh_token"])) == "invalid_grant"
    assert flow.status(tokens["access_token"]) == 200
    assert flow.refresh(client, tokens["refresh_token"]).status_code == 200


def test_a_refresh__does_not_add_scopes(flow: Flow) -> None:
    client = flow.client()
    tokens = flow.tokens(client, scope="tasks:read")
    refused = flow.refresh(client, tokens["refresh_token"], scope=SCOPE)
    assert error_of(refused) == "invalid_scope"
    assert flow.refresh(client, tokens["refresh_token"]).json()["scope"] == "tasks:read"


def test_an_access_token__is_no_refresh_token(flow: Flow) -> None:
    client = flow.client()
    tokens = flow.tokens(client)
    assert error_of(flow.refresh(client, tokens["access_token"])) == "invalid_grant"
    assert flow.status(tokens["refresh_token"]) == 401


@pytest.mark.parametrize(
    ("idle", "since_code", "status"),
    [
        (REFRESH_IDLE - timedelta(minutes=1), REFRESH_IDLE, 200),
        (REFRESH_IDLE, REFRESH_IDLE, 400),
        (timedelta(days=1), REFRESH_LIFETIME - timedelta(minutes=1), 200),
        (timedelta(days=1), REFRESH_LIFETIME, 400),
    ],
)
def test_a_refresh_token__lasts_30_days_idle_and_90_in_all(
    flow: Flow, idle: timedelta, since_code: timedelta, status: int
) -> None:
    client = flow.client()
    tokens = flow.tokens(client)
    at = clock.now()
    RefreshToken.objects.update(created=at - idle)
    OAuthCode.objects.update(used_at=at - since_code)
    assert flow.refresh(client, tokens["refresh_token"]).status_code == status


def test_a_revoked_refresh_token__is_no_reuse(flow: Flow) -> None:
    client = flow.client()
    tokens = flow.tokens(client)
    client.revoke_token(f"{flow.url}/oauth/revoke", token=tokens["refresh_token"])
    assert flow.status(tokens["access_token"]) == 401
    assert error_of(flow.refresh(client, tokens["refresh_token"])) == "invalid_grant"
    assert not AuditEvent.objects.filter(action="oauth_token.reused").exists()


def test_a_token__is_revoked_by_its_client_only(flow: Flow) -> None:
    client, other = flow.client(), flow.client(name="Other")
    tokens = flow.tokens(client)
    for name in ("access_token", "refresh_token"):
        answer = other.revoke_token(f"{flow.url}/oauth/revoke", token=tokens[name])
        assert answer.status_code == 200, "RFC 7009, 2.2"
    assert flow.status(tokens["access_token"]) == 200
