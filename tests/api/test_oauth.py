"""Test OAuth 2.0 client credentials: one organisation, with scopes."""

import base64
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from oauth2_provider.models import AccessToken

from apps.accounts.models import OAuthApplication
from apps.api.http import oauth, rate_limits
from tests.factories import Caller, House, contract

SECRET = "an-application-secret-of-some-length"


@pytest.fixture
def application(house: House) -> OAuthApplication:
    return OAuthApplication.objects.create(
        organisation=house.organisation,
        name="Partner dashboard",
        client_type=OAuthApplication.CLIENT_CONFIDENTIAL,
        authorization_grant_type=OAuthApplication.GRANT_CLIENT_CREDENTIALS,
        grant_types=["client_credentials"],
        scopes=["tasks:read", "tasks:create"],
        client_secret=SECRET,
    )


def ask_token(client_id: str, secret: str, scope: str, address: str = "127.0.0.1") -> Any:
    pair = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return Client(REMOTE_ADDR=address).post(
        "/oauth/token",
        {"grant_type": "client_credentials", "scope": scope},
        headers={"Authorization": f"Basic {pair}"},
        secure=True,
    )


def token_for(
    application: OAuthApplication, scope: str, secret: str = SECRET, address: str = "127.0.0.1"
) -> Any:
    return ask_token(application.client_id, secret, scope, address)


def test_token__acts_inside_its_organisation_with_its_scopes(
    house: House, application: OAuthApplication
) -> None:
    task = house.task()
    granted = token_for(application, "tasks:read").json()
    partner = Caller(granted["access_token"])
    assert partner.get(f"/v1/tasks/{task.id}").status_code == 200
    refused = partner.post("/v1/tasks", contract())
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


def test_token__costs_as_many_statements_as_a_key(
    house: House, application: OAuthApplication
) -> None:
    path = f"/v1/tasks/{house.task().id}"
    partner = Caller(token_for(application, "tasks:read").json()["access_token"])
    counts = []
    for caller in (house.alice, partner):
        # The first read of a task is not like the later ones.
        caller.get(path)
        with CaptureQueriesContext(connection) as captured:
            assert caller.get(path).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_token__is_stored_hashed(application: OAuthApplication) -> None:
    token = token_for(application, "tasks:read").json()["access_token"]
    assert token not in str(AccessToken.objects.values())


def test_token__refused_for_a_wrong_secret(application: OAuthApplication) -> None:
    assert token_for(application, "tasks:read", secret="wrong").status_code == 401
    assert AccessToken.objects.count() == 0


def test_token__of_another_organisation_sees_nothing(
    house: House, application: OAuthApplication
) -> None:
    application.organisation = house.strangers_pool.organisation
    application.save()
    task = house.task()
    stranger = Caller(token_for(application, "tasks:read").json()["access_token"])
    assert stranger.get(f"/v1/tasks/{task.id}").status_code == 404


def test_secret__is_kept_as_a_keyed_hash(application: OAuthApplication) -> None:
    """Check the hash of the secret: a slow one would take 250 ms for each wrong secret."""
    assert application.client_secret.startswith("keyed$")
    assert SECRET not in application.client_secret
    assert token_for(application, "tasks:read").status_code == 200


def test_secret__that_was_kept_by_a_slow_hash_still_holds(application: OAuthApplication) -> None:
    slow = make_password(SECRET, hasher="pbkdf2_sha256")
    OAuthApplication.objects.update(client_secret=slow)
    assert token_for(application, "tasks:read").status_code == 200
    assert token_for(application, "tasks:read", secret="wrong").status_code == 401


def test_token__refused_from_outside_of_the_organisations_networks(
    house: House, application: OAuthApplication
) -> None:
    """Refuse it as a wrong secret, so that it does not reveal that there is such a client."""
    house.organisation.allowed_networks = ["192.0.2.0/24"]
    house.organisation.save()
    refused = token_for(application, "tasks:read")
    assert (refused.status_code, refused.json()) == (401, {"error": "invalid_client"})
    wrong = ask(address="192.0.2.7", client=application.client_id)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert AccessToken.objects.count() == 0
    near = token_for(application, "tasks:read", address="192.0.2.7").json()["access_token"]
    assert Caller(near, Client(REMOTE_ADDR="192.0.2.7")).get("/v1/tasks").status_code == 200
    assert Caller(near).get("/v1/tasks").status_code == 403


def test_tokens__are_so_many_a_minute_for_an_address(
    application: OAuthApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "CALLS_PER_ADDRESS", 3)
    address = "203.0.113.7"
    answers = [ask(address=address, client=f"client-{number}") for number in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60
    assert answers[-1].json()["error"] == "rate_limited"
    assert ask(address="203.0.113.8", client="client-1").status_code == 401


def test_tokens__are_so_many_a_minute_for_a_client(
    application: OAuthApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "CALLS_PER_CLIENT", 3)
    for basic in (True, False):
        client = f"client-{basic}"
        codes = [
            ask(address=f"203.0.113.{n}", client=client, basic=basic).status_code
            for n in range(20, 24)
        ]
        assert codes == [401, 401, 401, 429]
    assert ask(address="203.0.113.30", client="another").status_code == 401


def ask(*, address: str, client: str, basic: bool = True) -> Any:
    """Request a token with a wrong secret."""
    pair = base64.b64encode(f"{client}:wrong".encode()).decode()
    form = {"grant_type": "client_credentials"}
    if not basic:
        form |= {"client_id": client, "client_secret": "wrong"}
    headers = {"Authorization": f"Basic {pair}"} if basic else {}
    return Client(REMOTE_ADDR=address).post("/oauth/token", form, headers=headers, secure=True)


@pytest.fixture(autouse=True)
def reset_limits() -> None:
    for key in rate_limits._client().scan_iter("biolayer:rate:{token}:*"):
        rate_limits._client().delete(key)


# RFC 6749, 5.2: an unknown client is invalid_client.
@pytest.mark.parametrize("client_id", ["a\x00b", "\x00", "unknown", "\ufffd", "x" * 5000 + "\x00"])
@pytest.mark.parametrize("way", ["form", "basic"])
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
def test_token__for_a_client_that_is_none(
    house: House, path: str, way: str, client_id: str
) -> None:
    form = {"grant_type": "client_credentials", "token": "x"}
    raw = client_id.encode(errors="surrogatepass")
    headers = {}
    if way == "basic":
        headers = {"Authorization": f"Basic {base64.b64encode(raw + b':secret').decode()}"}
        body = urlencode(form)
    else:
        body = urlencode(form) + "&client_secret=s&client_id=" + quote(raw)
    answer = Client(raise_request_exception=False).generic(
        "POST", path, body, "application/x-www-form-urlencoded", headers=headers, secure=True
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("name", ["grant_type", "scope", "client_secret", "token", "x\x00y"])
def test_token__with_a_nul_in_any_field(
    house: House, application: OAuthApplication, name: str
) -> None:
    pair = base64.b64encode(f"{application.client_id}:{SECRET}".encode()).decode()
    form = {"grant_type": "client_credentials", name: "a\x00b"}
    answer = Client(raise_request_exception=False).post(
        "/oauth/token", form, headers={"Authorization": f"Basic {pair}"}, secure=True
    )
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] in ("invalid_request", "invalid_client")


@pytest.mark.parametrize("pair", ["", "%", "====", "\u00e9", "AAAA", "Og==", "AA=="])
def test_token__with_a_pair_that_is_none(house: House, pair: str) -> None:
    answer = Client(raise_request_exception=False).post(
        "/oauth/token",
        {"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {pair}"},
        secure=True,
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
@pytest.mark.parametrize("query", ["a=%zz", "%", "a=%ff", "a;b", "\x00"])
def test_token__with_an_odd_query(house: House, path: str, query: str) -> None:
    answer = Client(raise_request_exception=False).post(
        f"{path}?{quote(query, safe='=%')}", {"grant_type": "client_credentials"}, secure=True
    )
    # The library returns a plain 400 for a malformed query.
    assert answer.status_code in (400, 401)


def test_token__for_a_form_that_is_too_large(house: House) -> None:
    form = {"grant_type": "client_credentials", "client_id": "a", "x": "x" * 20_000}
    answer = Client().post("/oauth/token", form, secure=True)
    assert (answer.status_code, answer.json()["error"]) == (413, "invalid_request")


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
def test_endpoints__take_post_only(house: House, path: str) -> None:
    assert Client().get(path, secure=True).status_code == 405


def test_token__with_a_parameter_twice(house: House, application: OAuthApplication) -> None:
    form = f"grant_type=client_credentials&client_id={application.client_id}&client_secret={SECRET}"
    for body, status in ((form, 200), (f"{form}&scope=tasks:read&scope=tasks:create", 400)):
        answer = Client().post(
            "/oauth/token", body, "application/x-www-form-urlencoded", secure=True
        )
        assert answer.status_code == status, answer.content
