"""Test introspection, metadata, and tokens that are bound to a resource."""

from typing import Any

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from django.conf import settings

from apps.accounts.models import Member, OAuthConsent
from apps.accounts.scopes import Role
from tests.api.oauth_flow import (
    HTTP,
    VERIFIER,
    Flow,
    error_of,
    introspected,
)
from tests.api.oauth_steps import created, credentials_manager
from tests.factories import House, contract

# --- introspection --------------------------------------------------------------------------------


def test_introspection__describes_a_token_to_its_organisation(flow: Flow) -> None:
    client, other = flow.client(), flow.client(name="Resource server")
    tokens = flow.tokens(client)
    facts = introspected(flow, other, tokens["access_token"])
    assert facts.pop("exp") - facts.pop("iat") == 3600
    assert facts == {
        "active": True,
        "scope": "tasks:create tasks:read",
        "client_id": client.client_id,
        "token_type": "Bearer",
        "sub": str(flow.member.id),
        "iss": flow.url,
    }
    Member.objects.update(role=Role.VIEWER)
    assert introspected(flow, other, tokens["access_token"])["scope"] == "tasks:read"
    OAuthConsent.objects.all().delete()
    assert introspected(flow, other, tokens["access_token"]) == {"active": False}


def test_introspection__says_nothing_of_others(flow: Flow) -> None:
    tokens = flow.tokens(flow.client())
    made = created(
        credentials_manager_of(flow.house), grant_types=["client_credentials"], redirect_uris=[]
    )
    stranger = OAuth2Session(made["client_id"], made["client_secret"])
    for token in (tokens["access_token"], tokens["refresh_token"], "unknown"):
        assert introspected(flow, stranger, token) == {"active": False}


def credentials_manager_of(house: House) -> Any:
    """Return a manager of the other organisation."""
    from dataclasses import replace

    strangers = house.strangers_pool.organisation
    return credentials_manager(replace(house, organisation=strangers))


def test_introspection__needs_a_secret(flow: Flow) -> None:
    url = f"{flow.url}/oauth/introspect"
    client, public = (
        flow.client(),
        flow.client(client_type="public", redirect_uris=["http://127.0.0.1/c"]),
    )
    form = {"token": "x"}
    assert error_of(HTTP.post(url, data=form), 401) == "invalid_client"
    wrong = HTTP.post(url, data=form, auth=(client.client_id, "wrong"))
    assert error_of(wrong, 401) == "invalid_client"
    nothing = HTTP.post(url, data={**form, "client_id": public.client_id})
    assert error_of(nothing, 401) == "invalid_client"
    right = (client.client_id, client.client_secret)
    assert error_of(HTTP.post(url, data={}, auth=right)) == "invalid_request"
    assert HTTP.get(url, params=form, auth=right).status_code in (400, 405)


# --- metadata and resources -----------------------------------------------------------------------


@pytest.mark.parametrize(("path", "resource"), [("", ""), ("/v1", "/v1"), ("/mcp", "/mcp")])
def test_protected_resources__have_metadata(flow: Flow, path: str, resource: str) -> None:
    answer = HTTP.get(f"{flow.url}/.well-known/oauth-protected-resource{path}")
    assert answer.json()["resource"] == f"{flow.url}{resource}"
    assert answer.json()["bearer_methods_supported"] == ["header"]
    assert "Set-Cookie" not in answer.headers


def test_registration__is_not_offered(flow: Flow) -> None:
    document = HTTP.get(f"{flow.url}/.well-known/oauth-authorization-server").json()
    assert "registration_endpoint" not in document
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert HTTP.post(f"{flow.url}/oauth/register", json={}).status_code == 404


def test_a_token_for_another_resource__is_refused(flow: Flow) -> None:
    client = flow.client()
    tokens = flow.tokens(client, resource=f"{flow.url}/mcp")
    assert flow.status(tokens["access_token"]) == 401
    assert flow.status(flow.refresh(client, tokens["refresh_token"]).json()["access_token"]) == 401
    whole = flow.tokens(client, resource=flow.url)
    assert flow.status(whole["access_token"]) == 200
    code = flow.code(client, resource=f"{flow.url}/mcp")
    wider = flow.exchange(client, code, resource=f"{flow.url}/v1")
    assert error_of(wider) == "invalid_target"


def test_an_insufficient_scope__is_named(flow: Flow) -> None:
    tokens = flow.tokens(flow.client(), scope="tasks:read")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = HTTP.post(f"{flow.url}/v1/tasks", json=contract(), headers=headers)
    assert answer.status_code == 403
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope", scope="tasks:create"' in challenge
    unknown = HTTP.get(f"{flow.url}/v1/tasks", headers={"Authorization": "Bearer x"})
    assert 'error="invalid_token"' in unknown.headers["WWW-Authenticate"]


def test_an_error__raises_in_the_outside_client(flow: Flow) -> None:
    client = flow.client()
    with pytest.raises(OAuthError, match="invalid_grant"):
        client.fetch_token(code="unknown", grant_type="authorization_code", code_verifier=VERIFIER)


def test_gates_of_rfc_9700__are_all_on() -> None:
    from oauth2_provider.settings import DEFAULTS

    gates = {name for name in DEFAULTS if name.startswith("COMPLIANT_BCP_RFC9700_")}
    assert gates
    assert all(settings.OAUTH2_PROVIDER.get(name) is True for name in gates)
