"""Test every route of the service with every role and every kind of credential.

The routes are those of the URL configuration. Calls of `/v1` have their rows in test_tenancy.py,
where foreign ids are tested; every other route is in `ELSEWHERE` with who may use it. A new route
without an entry fails here.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.accounts.models import ApiKey
from apps.accounts.principal import Principal
from apps.accounts.scopes import LEAST_ROLE, Role, Scope
from apps.accounts.services import issue_key
from apps.api.http import oauth
from apps.api.operations.document import operations as agent_operations
from apps.api.team_workspace import document as team_workspace
from apps.api.v1.document import operations
from apps.base import clock
from biolayer.errors import Refused
from tests.api.expect import expect_problem, expect_unchanged
from tests.api.test_oauth import ask_token
from tests.api.test_oauth_applications import created
from tests.api.test_tenancy import (
    MATRIX,
    OF_ONE_SIDE,
    OPEN,
    Row,
    World,
    kept,
    new_world,
    text_of,
    world,
)
from tests.factories import NO_ID, Caller, House, admin_key, member_of

__all__ = ["kept", "new_world", "world"]

ROLES = list(Role)

# Who may use a route that is no call of `/v1`: everyone, a person who signed in, or a client of
# OAuth 2.0 by its secret. A `script` is that of a person's page, which 401 tells to sign in.
ELSEWHERE = {
    "accounts": "everyone",
    "accounts/": "person",
    "accounts/organisations/": "person",
    "accounts/organisations/switch/": "person",
    "accounts/sessions/": "person",
    "accounts/sessions/end-others/": "person",
    "accounts/sessions/<uuid:session_id>/end/": "person",
    # Its token is the credential; a person without an account chooses a password there.
    "accounts/invitations/<str:token>/": "everyone",
    "accounts/applications/": "person",
    "accounts/applications/<uuid:consent_id>/revoke/": "person",
    "accounts/two-factor/": "person",
    # A sign-in that has begun; without one it leads to the sign-in page.
    "accounts/two-factor/authenticate/": "person",
    "accounts/two-factor/reauthenticate/": "person",
    "accounts/two-factor/totp/activate/": "person",
    "accounts/two-factor/totp/deactivate/": "person",
    "accounts/two-factor/recovery-codes/": "person",
    "accounts/two-factor/recovery-codes/generate/": "person",
    "accounts/two-factor/recovery-codes/download/": "person",
    "accounts/two-factor/webauthn/": "person",
    "accounts/two-factor/webauthn/add/": "person",
    "accounts/two-factor/webauthn/reauthenticate/": "person",
    "accounts/two-factor/webauthn/keys/<int:pk>/remove/": "person",
    "accounts/two-factor/webauthn/keys/<int:pk>/edit/": "person",
    # The challenge of a sign-in by passkey.
    "accounts/two-factor/webauthn/login/": "everyone",
    "accounts/login/": "everyone",
    "accounts/logout/": "everyone",
    "accounts/inactive/": "everyone",
    "accounts/signup/": "everyone",
    "accounts/reauthenticate/": "person",
    "accounts/confirm-email/": "everyone",
    "accounts/password/change/": "person",
    "accounts/password/set/": "person",
    "accounts/password/reset/": "everyone",
    r"accounts/^confirm-email/(?P<key>[-:\w]+)/$": "everyone",
    "accounts/password/reset/key/done/": "everyone",
    r"accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "everyone",
    "accounts/password/reset/done/": "everyone",
    "": "everyone",
    "accounts/language/": "everyone",
    "portal": "everyone",
    "admin": "everyone",
    "portal/": "person",
    "portal/fragments/home": "person",
    "portal/notes/<uuid:note_id>/dismiss/": "person",
    "portal/presence/": "person",
    "portal/offers/<uuid:offer_id>/": "person",
    "portal/offers/<uuid:offer_id>/state": "person",
    "portal/offers/<uuid:offer_id>/accept/": "person",
    "portal/offers/<uuid:offer_id>/decline/": "person",
    "portal/manifest.webmanifest": "everyone",
    "portal/sw.js": "everyone",
    "portal/offline/": "everyone",
    "portal/runs/<uuid:run_id>/": "person",
    "portal/runs/<uuid:run_id>/start": "person",
    "portal/runs/<uuid:run_id>/submit": "person",
    "portal/runs/<uuid:run_id>/release": "person",
    "portal/runs/<uuid:run_id>/appeal": "person",
    "portal/runs/<uuid:run_id>/draft": "script",
    "portal/runs/<uuid:run_id>/heartbeat": "script",
    "portal/runs/<uuid:run_id>/state": "script",
    "portal/runs/<uuid:run_id>/evidence": "person",
    "portal/runs/<uuid:run_id>/evidence/<uuid:evidence_id>/remove": "person",
    "portal/runs/<uuid:run_id>/files/<uuid:file_id>": "person",
    "portal/runs/<uuid:run_id>/questions": "person",
    "portal/history/": "person",
    # tests/portal/test_reviews.py tests them with each role, and with the ids of others.
    "portal/reviews/": "person",
    "portal/reviews/fragment": "person",
    "portal/reviews/several/": "person",
    "portal/reviews/<uuid:review_id>/": "person",
    "portal/reviews/<uuid:review_id>/renew": "script",
    "portal/reviews/<uuid:review_id>/release/": "person",
    "portal/reviews/<uuid:review_id>/verdict/": "person",
    "portal/reviews/<uuid:review_id>/files/<uuid:file_id>": "person",
    "portal/profile/": "person",
    "portal/profile/language/": "person",
    "portal/profile/hours/": "person",
    "portal/profile/certifications/": "person",
    "portal/profile/certifications/<uuid:claim_id>/remove/": "person",
    "portal/profile/notices/": "person",
    "portal/profile/notices/test/": "person",
    "portal/profile/notices/devices/": "person",
    "portal/profile/notices/devices/<uuid:device_id>/remove/": "person",
    "portal/seen/": "person",
    # The link of a mail: its token says whose notices end.
    "portal/notices/stop/<str:token>/": "everyone",
    "oauth/authorize": "person",
    "oauth/token": "client",
    "oauth/revoke": "client",
    "oauth/introspect": "client",
    ".well-known/oauth-authorization-server": "everyone",
    ".well-known/oauth-protected-resource": "everyone",
    ".well-known/oauth-protected-resource/v1": "everyone",
    ".well-known/oauth-protected-resource/mcp": "everyone",
    "livez": "everyone",
    "readyz": "everyone",
    "healthz": "everyone",
}
# Calls of `/api` have another form of error: tests/api/test_operator_access.py tests each of them.
AGENTS = {
    f"api/{one.route}"
    for one in agent_operations()
    if one.scope is not None and one.name != "streamTask"
}
ELSEWHERE |= dict.fromkeys(AGENTS, "agent") | {"api/openapi.json": "everyone"}
# tests/api/test_operator_scheduler.py and test_operator_force.py test who may use them.
SCHEDULER = {
    "api/scheduler",
    "api/scheduler/backlog",
    "api/scheduler/drain",
    "api/scheduler/pause",
    "api/scheduler/resume",
    "api/runs/bulk/fail",
    "api/runs/bulk/release",
    "api/runs/<str:run_id>/fail",
    "api/runs/<str:run_id>/recover",
    "api/runs/<str:run_id>/release",
    "api/runs/<str:run_id>/retry",
}
ELSEWHERE |= dict.fromkeys(SCHEDULER, "operator")
STREAMS = {"v1/events", "v1/events/stream", "v1/event-consumers/<str:name>/events"}
# tests/api/test_operator_stream.py tests who may read it.
STREAMS |= {"api/tasks/<str:task_id>/stream"}
# tests/api/test_operator_stream.py does for the events of a task.
STREAMS |= {"api/tasks/<str:task_id>/stream"}
# tests/portal/test_live.py tests who may read it.
STREAMS |= {"portal/stream"}
# tests/console/test_stream.py does for the console.
STREAMS |= {"admin/stream"}
# tests/console/test_matrix.py tests every page below it.
CONSOLE = "admin/"


@pytest.fixture(autouse=True)
def many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one address ask for as many tokens a minute as there are tests."""
    monkeypatch.setattr(oauth, "CALLS_PER_ADDRESS", 10_000)


def routes(patterns: Any, prefix: str = "") -> Iterator[str]:
    """Yield every route, those of included configurations too."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            assert isinstance(pattern, URLPattern)
            yield route


def test_every_route_has_an_entry() -> None:
    found = set(routes(get_resolver("config.urls").url_patterns))
    calls = {f"v1/{row.route}" for row in MATRIX} | {f"v1/{route}" for _, route in OPEN}
    pages = {route for route in found if route.startswith(CONSOLE)}
    # tests/api/test_team_workspace.py has a row for each of them.
    of_teams = {f"api/v1/{one.route}" for one in team_workspace.operations()}
    missing = found - calls - pages - of_teams - ELSEWHERE.keys()
    assert not missing, (
        f"{sorted(missing)} are new. Mend: a Row in MATRIX of tests/api/test_tenancy.py for a call"
        " of /v1, else an entry in ELSEWHERE."
    )
    assert not ELSEWHERE.keys() - found
    streams = set(routes(get_resolver("config.stream_urls").url_patterns))
    assert streams <= STREAMS | ELSEWHERE.keys(), "tests/api/test_streams.py tests who may read"


def test_matrix__has_the_scopes_that_are_described() -> None:
    described = {(one.method, one.route): one.scope for one in operations()}
    assert {(row.method, row.route): row.scope for row in MATRIX}.items() <= described.items()


# --- roles ----------------------------------------------------------------------------------------


def with_role(world: World, role: Role) -> Caller:
    """Return a key with every scope that acts with a role."""
    key = issue_key(
        organisation_id=world.house.organisation.id,
        name=role.label,
        role=role,
        scopes=list(Scope),
        worker_id=world.house.bobs_worker.id,
    )
    return Caller(key)


@pytest.mark.parametrize("row", OF_ONE_SIDE, ids=str)
def test_role__below_the_least_is_refused(world: World, row: Row) -> None:
    least = LEAST_ROLE[row.scope]
    lesser = [(role, with_role(world, role)) for role in ROLES[: ROLES.index(least)]]
    with expect_unchanged():
        for role, caller in lesser:
            problem = expect_problem(world.call(caller, row), 403, "role_too_low")
            # A call that needs more than the scope may name the role for that first.
            assert ROLES.index(Role(problem["missing"]["role"])) > ROLES.index(role)


@pytest.mark.parametrize("role", ROLES)
def test_role__allows_what_it_includes(house: House, role: Role) -> None:
    """Each role has the scopes of those below it: by the principal that every service checks."""
    actor = Caller(
        issue_key(organisation_id=house.organisation.id, name="R", role=role, scopes=MOST)
    ).principal
    allowed = {scope for scope in MOST if _is_allowed(actor, scope)}
    assert allowed == {
        scope for scope in MOST if ROLES.index(LEAST_ROLE[scope]) <= ROLES.index(role)
    }


MOST = [scope for scope in Scope if scope is not Scope.WORK]


def _is_allowed(actor: Principal, scope: Scope) -> bool:
    try:
        actor.require(scope)
    except Refused:
        return False
    return True


# --- kinds of credentials -------------------------------------------------------------------------


@pytest.mark.parametrize("row", MATRIX, ids=str)
def test_session_of_a_browser__is_no_credential_of_the_api(world: World, row: Row) -> None:
    client = Client(raise_request_exception=False)
    member = member_of(world.house.organisation, f"{uuid4()}@northwind.example", role=Role.ADMIN)
    client.force_login(member.user)
    with expect_unchanged():
        answer = client.generic(row.method.upper(), path_of(world, row), "{}", JSON)
    expect_problem(answer, 401, "unauthenticated")
    assert not answer.cookies


@pytest.mark.parametrize("row", MATRIX, ids=str)
def test_key_that_ended__is_refused(world: World, row: Row) -> None:
    at = clock.now()
    for changes in ({"revoked_at": at}, {"expires_at": at - timedelta(seconds=1)}):
        ended = with_role(world, Role.ADMIN)
        ApiKey.objects.filter(id=ended.key.split("_")[2]).update(**changes)
        with expect_unchanged():
            expect_problem(world.call(ended, row), 401, "unauthenticated")


def may_write(row: Row) -> bool:
    """Return whether a call that is not about an object of the live organisation may succeed."""
    return not row.subject and row.method != "get"


@pytest.mark.parametrize("row", [row for row in MATRIX if may_write(row)], ids=str)
def test_key_of_the_sandbox__writes_nothing_that_is_live(new_world: World, row: Row) -> None:
    assert_sees_nothing_live(new_world, row)


@pytest.mark.parametrize("row", [row for row in MATRIX if not may_write(row)], ids=str)
def test_key_of_the_sandbox__sees_nothing_that_is_live(world: World, row: Row) -> None:
    assert_sees_nothing_live(world, row)


def assert_sees_nothing_live(world: World, row: Row) -> None:
    """Assert that a key of the sandbox finds nothing of the live organisation."""
    key = issue_key(
        organisation_id=world.house.organisation.id,
        name="Test",
        role=Role.ADMIN,
        scopes=MOST,
        is_test=True,
    )
    answer = world.call(Caller(key), row)
    if row.scope is Scope.WORK:
        expect_problem(answer, 403, "scope_missing")
    elif row.subject:
        body = expect_problem(answer, 404, "not_found")
        unknown = world.call(Caller(key), row, NO_ID)
        assert {**body, "request_id": ""} == {**unknown.json(), "request_id": ""}
    else:
        assert answer.status_code < 300
        text = text_of(answer)
        assert not any(str(live) in text for live in world.subjects.values())


@cache
def client_token(organisation_id: UUID, scopes: tuple[str, ...], role: Role) -> Caller:
    """Return a token of a client with these scopes and this role. Tests that share rows share it:
    an organisation has a hundred clients at most.
    """
    body = {
        "scopes": scopes,
        "role": role.value,
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
    }
    made = created(everything(organisation_id), **body)
    answer = ask_token(made["client_id"], made["client_secret"], " ".join(scopes))
    return Caller(answer.json()["access_token"])


def everything(organisation_id: UUID) -> Caller:
    return Caller(
        issue_key(organisation_id=organisation_id, name="Boss", role=Role.ADMIN, scopes=MOST)
    )


@pytest.mark.parametrize("row", [row for row in MATRIX if row.scope is not Scope.WORK], ids=str)
def test_token_of_a_client__needs_the_scope_too(world: World, row: Row) -> None:
    # An editor at least: some calls need that besides their scope.
    least = max(LEAST_ROLE[row.scope], Role.EDITOR, key=ROLES.index)
    fitting = [scope for scope in MOST if ROLES.index(LEAST_ROLE[scope]) <= ROLES.index(least)]
    others = tuple(scope.value for scope in fitting if scope is not row.scope)
    token = client_token(world.house.organisation.id, others, least)
    with expect_unchanged():
        answer = world.call(token, row)
        assert expect_problem(answer, 403, "scope_missing")["scope"] == row.scope.value


@pytest.mark.parametrize("row", [row for row in MATRIX if row.scope is Scope.WORK], ids=str)
def test_token_of_a_client__never_works_as_a_worker(world: World, row: Row) -> None:
    token = client_token(world.house.organisation.id, (Scope.TASKS_READ.value,), Role.ADMIN)
    with expect_unchanged():
        expect_problem(world.call(token, row), 403, "scope_missing")


# --- pages and the endpoints of OAuth 2.0 ---------------------------------------------------------


def of_kind(kind: str) -> list[str]:
    return [route for route, who in ELSEWHERE.items() if who == kind]


@pytest.mark.parametrize("route", of_kind("person"))
def test_page_of_a_person__leads_a_stranger_to_the_sign_in(house: House, route: str) -> None:
    path = "/" + re.sub(r"<uuid:\w+>", NO_ID, route).replace("<int:pk>", "1")
    client = Client(raise_request_exception=False)
    for answer in (client.get(path), client.post(path)):
        leads = answer.status_code == 302 and answer["Location"].startswith("/accounts/login/")
        assert leads or answer.status_code in (400, 403, 404, 405), (route, answer.status_code)
    # A key is no credential of a page.
    answer = client.get(
        path, headers={"Authorization": f"Bearer {admin_key(house.organisation).key}"}
    )
    assert answer.status_code != 200


@pytest.mark.parametrize("route", of_kind("script"))
def test_call_of_a_page__needs_a_session(house: House, route: str) -> None:
    client = Client(raise_request_exception=False)
    path = "/" + re.sub(r"<uuid:\w+>", NO_ID, route)
    headers = {"Authorization": f"Bearer {admin_key(house.organisation).key}"}
    statuses = {client.get(path, headers=headers).status_code, client.post(path).status_code}
    assert statuses == {401, 405}


@pytest.mark.parametrize("route", [one for one in of_kind("agent") if "/agent/" in one])
def test_call_of_an_agent__needs_a_credential_and_a_session(house: House, route: str) -> None:
    client = Client(raise_request_exception=False)
    path = "/" + re.sub(r"<str:\w+>", NO_ID, route)
    reader = issue_key(
        organisation_id=house.organisation.id, name="Reader", scopes=[Scope.WEBHOOKS_READ]
    )
    with expect_unchanged():
        for key, statuses in (("", {401}), (reader, {401, 403, 404, 405, 422})):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            posted = client.post(path, "{}", JSON, headers=headers)
            for answer in client.get(path, headers=headers), posted:
                assert answer.status_code in statuses, (route, answer.status_code)
                assert answer.json().keys() <= {"error", "diagnostic"}


@pytest.mark.parametrize("route", of_kind("client"))
def test_endpoint_of_a_client__needs_its_secret(house: House, route: str) -> None:
    client = Client(raise_request_exception=False)
    body = {"grant_type": "client_credentials", "token": "x"}
    for headers in ({}, {"Authorization": f"Bearer {house.alice.key}"}):
        answer = client.post(f"/{route}", body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


JSON = "application/json"


def path_of(world: World, row: Row) -> str:
    name = str(world.subjects.get(row.subject, row.chosen))
    return "/v1/" + "/".join(
        name if part.startswith("<") else part for part in row.route.split("/")
    )
