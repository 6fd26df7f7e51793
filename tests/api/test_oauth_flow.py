"""Test the code flow from outside, by `authlib` over HTTP: what it grants to whom."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from oauth2_provider.models import AccessToken, RefreshToken

from apps.accounts.models import (
    AuditEvent,
    Member,
    OAuthCode,
    OAuthConsent,
    Organisation,
    User,
)
from apps.accounts.scopes import Role
from apps.accounts.services import delete_oauth_application
from apps.base import clock
from tests.api.oauth_flow import (
    CALLBACK,
    HTTP,
    SCOPE,
    TLS,
    VERIFIER,
    Browser,
    Flow,
    add_member,
    error_of,
    flowing,
    introspected,
    parameters,
)
from tests.api.oauth_steps import PATH, credentials_manager
from tests.factories import House, contract

# --- the whole way --------------------------------------------------------------------------------


def test_a_client__finds_its_way_from_a_refusal_to_a_task(flow: Flow) -> None:
    """As a client of MCP does: it knows the API's URL only."""
    refusal = HTTP.get(f"{flow.url}/v1/tasks").headers["WWW-Authenticate"]
    about = refusal.partition('resource_metadata="')[2].rstrip('"')
    assert about == f"{flow.url}/.well-known/oauth-protected-resource/v1"
    resource = HTTP.get(about).json()
    assert resource["resource"] == f"{flow.url}/v1"
    (issuer,) = resource["authorization_servers"]
    document = HTTP.get(f"{issuer}/.well-known/oauth-authorization-server").json()
    assert document["issuer"] == issuer == flow.url
    metadata = AuthorizationServerMetadata({**document, **_as_https(document)})
    metadata.validate()

    client = flow.client()
    asked, state = client.create_authorization_url(
        document["authorization_endpoint"], code_verifier=VERIFIER, resource=resource["resource"]
    )
    back = flow.browser.decide(asked)
    assert back.startswith(f"{CALLBACK}?")
    assert {**parameters(back), "code": ""} == {"code": "", "state": state, "iss": issuer}
    token = client.fetch_token(authorization_response=back, code_verifier=VERIFIER, state=state)
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 3600, SCOPE)
    assert client.post(f"{flow.url}/v1/tasks", json=contract()).status_code == 201
    assert len(client.get(f"{flow.url}/v1/tasks").json()["data"]) == 1

    renewed = client.refresh_token()
    assert renewed["refresh_token"] != token["refresh_token"]
    assert flow.status(token["access_token"]) == 401
    assert client.get(f"{flow.url}/v1/tasks").status_code == 200
    facts = client.introspect_token(
        document["introspection_endpoint"], token=renewed["access_token"]
    ).json()
    assert (facts["active"], facts["aud"]) == (True, [f"{flow.url}/v1"])
    assert facts["sub"] == str(flow.member.id)
    gone = client.revoke_token(document["revocation_endpoint"], token=renewed["access_token"])
    assert gone.status_code == 200
    assert flow.status(renewed["access_token"]) == 401
    assert error_of(flow.refresh(client, renewed["refresh_token"])) == "invalid_grant"


def _as_https(document: dict[str, Any]) -> dict[str, Any]:
    """Return the URLs as a server with TLS has them; the validator accepts no others."""
    return {
        name: value.replace("http://", "https://")
        for name, value in document.items()
        if isinstance(value, str)
    }


def test_client_credentials__by_authlib(flow: Flow) -> None:
    client = flow.client(grant_types=["client_credentials"], redirect_uris=[])
    token = client.fetch_token(grant_type="client_credentials")
    assert "refresh_token" not in token
    assert client.get(f"{flow.url}/v1/tasks").status_code == 200
    facts = client.introspect_token(f"{flow.url}/oauth/introspect", token=token["access_token"])
    described = facts.json()
    assert (described["sub"], described["client_id"]) == (client.client_id, client.client_id)
    client.revoke_token(f"{flow.url}/oauth/revoke", token=token["access_token"])
    assert client.get(f"{flow.url}/v1/tasks").status_code == 401


def test_a_public_client__uses_any_port_of_its_machine(flow: Flow) -> None:
    client = flow.client(client_type="public", redirect_uris=["http://127.0.0.1/callback"])
    client.redirect_uri = "http://127.0.0.1:51004/callback"
    back = flow.browser.decide(flow.request_url(client))
    assert back.startswith("http://127.0.0.1:51004/callback?code=")
    tokens = flow.exchange(client, parameters(back)["code"]).json()
    assert flow.status(tokens["access_token"]) == 200
    assert flow.refresh(client, tokens["refresh_token"]).status_code == 200
    # Another program may listen there: the person is asked each time (RFC 8252, 8.6).
    assert flow.browser.get(flow.request_url(client)).status_code == 200


def test_tokens_and_codes__are_stored_hashed(flow: Flow) -> None:
    client = flow.client()
    code = flow.code(client)
    assert code not in str(OAuthCode.objects.values())
    tokens = flow.exchange(client, code).json()
    for stored in (AccessToken.objects.values(), RefreshToken.objects.values()):
        assert tokens["access_token"] not in str(stored)
        assert tokens["refresh_token"] not in str(stored)


# --- the page -------------------------------------------------------------------------------------


def test_the_page__names_client_organisation_and_scopes(flow: Flow) -> None:
    client = flow.client()
    page = flow.browser.get(flow.request_url(client))
    for text in ("Partner dashboard", "Northwind Verification", "Read tasks", "Create tasks"):
        assert text in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "form-action 'self' https://partner.example;" in f"{policy};"
    assert "frame-ancestors 'none'" in policy
    assert "no-store" in page.headers["Cache-Control"]


def test_the_page__needs_a_session_first(flow: Flow) -> None:
    url = flow.request_url(flow.client())
    with Browser(base_url=flow.url, verify=TLS) as stranger:
        answer = stranger.get(url)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/accounts/login/?next=/oauth/authorize")
        assert stranger.post(url, data={"decision": "allow"}).status_code == 403
    assert OAuthCode.objects.count() == 0


def test_a_form_without_its_token__gives_nothing(flow: Flow) -> None:
    answer = flow.browser.post(flow.request_url(flow.client()), data={"decision": "allow"})
    assert answer.status_code == 403
    assert (OAuthCode.objects.count(), OAuthConsent.objects.count()) == (0, 0)


@pytest.mark.parametrize("decision", ["deny", "", "Allow"])
def test_a_denial__returns_to_the_client(flow: Flow, decision: str) -> None:
    back = parameters(flow.browser.decide(flow.request_url(flow.client()), decision))
    assert back.pop("error_description", "") is not None
    assert back == {"error": "access_denied", "state": "the-state", "iss": flow.url}
    assert (OAuthCode.objects.count(), OAuthConsent.objects.count()) == (0, 0)


def test_a_consent__is_remembered_for_its_scopes(flow: Flow) -> None:
    client = flow.client()
    flow.browser.decide(flow.request_url(client, scope="tasks:read"))
    again = flow.browser.get(flow.request_url(client, scope="tasks:read"))
    assert (again.status_code, "code" in parameters(again.headers["Location"])) == (302, True)
    assert flow.browser.get(flow.request_url(client)).status_code == 200, "it asks for more"
    flow.browser.decide(flow.request_url(client))
    assert OAuthConsent.objects.get().scopes == ["tasks:create", "tasks:read"]
    given = AuditEvent.objects.filter(action="oauth_grant.created").order_by("id")
    assert [row.data["scopes"] for row in given] == [["tasks:read"], ["tasks:create"]]
    assert {(row.actor_kind, row.actor_id) for row in given} == {("member", str(flow.member.id))}


def test_applications__are_listed_and_revoked(flow: Flow) -> None:
    client = flow.client()
    tokens = flow.tokens(client)
    page = flow.browser.get("/accounts/applications/")
    assert "Partner dashboard" in page.text
    consent = OAuthConsent.objects.get()
    answer = flow.browser.send_form(page, f"/accounts/applications/{consent.id}/revoke/")
    assert answer.headers["Location"] == "/accounts/applications/"
    assert "No application" in flow.browser.get("/accounts/applications/").text
    assert flow.status(tokens["access_token"]) == 401
    assert error_of(flow.refresh(client, tokens["refresh_token"])) == "invalid_grant"
    revoked = AuditEvent.objects.get(action="oauth_grant.revoked")
    assert (revoked.subject_id, revoked.address) == (str(consent.id), "127.0.0.1")
    # A new consent does not revive what was revoked.
    flow.code(client)
    assert flow.status(tokens["access_token"]) == 401


def test_another_persons_consent__is_not_revoked(flow: Flow) -> None:
    tokens = flow.tokens(flow.client())
    add_member(flow.house.organisation, "otto@northwind.example", Role.ADMIN)
    with Browser(base_url=flow.url, verify=TLS) as other:
        page = other.sign_in("otto@northwind.example").get("/accounts/applications/")
        assert "Partner dashboard" not in page.text
        path = f"/accounts/applications/{OAuthConsent.objects.get().id}/revoke/"
        assert other.send_form(page, path).status_code == 302
    assert flow.status(tokens["access_token"]) == 200


def test_a_person_who_is_no_member__gives_nothing(flow: Flow) -> None:
    add_member(flow.house.strangers_pool.organisation, "otto@contoso.example", Role.ADMIN)
    url = flow.request_url(flow.client())
    with Browser(base_url=flow.url, verify=TLS) as stranger:
        page = stranger.sign_in("otto@contoso.example").get(url)
    assert page.status_code == 403
    assert "Northwind" not in page.text
    assert OAuthCode.objects.count() == 0


def test_an_organisation_may_require_more__before_a_consent(flow: Flow) -> None:
    url = flow.request_url(flow.client())
    organisation = flow.house.organisation
    organisation.requires_second_factor = True
    organisation.save()
    page = flow.browser.get(url)
    assert (page.status_code, page.headers["Location"]) == (302, "/accounts/two-factor/")
    organisation.requires_second_factor = False
    organisation.allowed_networks = ["192.0.2.0/24"]
    organisation.save()
    page = flow.browser.get(url)
    assert (page.status_code, "127.0.0.1" in page.text) == (403, True)
    assert OAuthCode.objects.count() == 0


# --- with whose power -----------------------------------------------------------------------------


def test_a_token__acts_with_the_lesser_role(flow: Flow) -> None:
    client = flow.client()
    headers = {"Authorization": f"Bearer {flow.tokens(client)['access_token']}"}

    def creates() -> int:
        return HTTP.post(f"{flow.url}/v1/tasks", json=contract(), headers=headers).status_code

    assert creates() == 201
    Member.objects.update(role=Role.VIEWER)
    assert creates() == 403
    assert HTTP.get(f"{flow.url}/v1/tasks", headers=headers).status_code == 200
    Member.objects.update(role=Role.ADMIN)
    assert creates() == 201
    manager = credentials_manager(flow.house)
    changes = {"role": "viewer", "scopes": ["tasks:read"]}
    assert manager.patch(f"{PATH}/{client.client_id}", changes).status_code == 200
    assert creates() == 403, "the member's role does not raise the client's"


def test_a_member_without_the_role__is_told_so_and_gets_the_rest(house: House) -> None:
    with flowing(house, role=Role.VIEWER) as flow:
        client = flow.client()
        page = flow.browser.get(flow.request_url(client)).text
        assert "what your role does not allow" in page
        tokens = flow.tokens(client)
        assert flow.status(tokens["access_token"]) == 200
        facts = introspected(flow, client, tokens["access_token"])
        assert facts["scope"] == "tasks:read"


def test_an_organisation_may_require_a_second_factor__of_tokens_too(flow: Flow) -> None:
    client = flow.client(grant_types=["authorization_code", "client_credentials"])
    tokens = flow.tokens(client)
    of_client = client.fetch_token(f"{flow.url}/oauth/token", grant_type="client_credentials")
    Organisation.objects.filter(id=flow.house.organisation.id).update(requires_second_factor=True)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = HTTP.get(f"{flow.url}/v1/tasks", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")
    assert introspected(flow, client, tokens["access_token"]) == {"active": False}
    assert flow.status(of_client["access_token"]) == 200, "it acts for no person"
    Authenticator.objects.create(user=flow.member.user, type="recovery_codes", data={})
    assert flow.status(tokens["access_token"]) == 403, "recovery codes alone are no second factor"
    Authenticator.objects.create(user=flow.member.user, type="totp", data={"secret": "x"})
    assert flow.status(tokens["access_token"]) == 200


@pytest.mark.parametrize("what", ["member", "user", "consent", "client"])
def test_a_token__ends_at_once_with(flow: Flow, what: str) -> None:
    client = flow.client()
    tokens = flow.tokens(client)
    assert flow.status(tokens["access_token"]) == 200
    match what:
        case "member":
            Member.objects.get().delete()
        case "user":
            User.objects.update(is_active=False)
        case "consent":
            OAuthConsent.objects.all().delete()
        case "client":
            manager = credentials_manager(flow.house).principal
            delete_oauth_application(actor=manager, client_id=client.client_id, at=clock.now())
    assert flow.status(tokens["access_token"]) == 401
    refused = flow.refresh(client, tokens["refresh_token"])
    expected = ("invalid_client", 401) if what == "client" else ("invalid_grant", 400)
    assert error_of(refused, expected[1]) == expected[0]
    if what == "member":
        Member.objects.create(organisation=flow.house.organisation, user=User.objects.get())
        assert flow.status(tokens["access_token"]) == 401, "it is not revived with the member"
        flow.code(client)
        assert flow.status(tokens["access_token"]) == 401
