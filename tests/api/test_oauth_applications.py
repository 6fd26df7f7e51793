"""Test `/v1/oauth-applications`: who may give a client what, and what becomes of its tokens."""

from typing import Any
from uuid import UUID

import pytest
from oauth2_provider.models import AccessToken

from apps.accounts.models import AuditEvent, OAuthApplication
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.accounts.services import oauth_applications as services
from apps.pools.services import provision_pool
from biolayer.values import ClientScopeName
from tests.api.expect import expect_problem
from tests.api.oauth_steps import (
    CALLBACK,
    PATH,
    audited,
    client_body,
    created,
    credentials_manager,
)
from tests.api.test_oauth import ask_token
from tests.factories import Caller, House, contract

ITSELF = {"grant_types": ["client_credentials"], "redirect_uris": []}


@pytest.fixture
def manager(house: House) -> Caller:
    return credentials_manager(house)


def test_a_client__is_shown_with_its_secret_once(manager: Caller) -> None:
    response = manager.post(PATH, client_body(), **{"Idempotency-Key": "one"})
    made = response.json()
    assert response["Location"] == f"{PATH}/{made['client_id']}"
    secret = made.pop("client_secret")
    assert len(secret) == 64
    assert secret not in str(OAuthApplication.objects.values())
    assert OAuthApplication.objects.get().client_secret.startswith("keyed$")
    again = manager.post(PATH, client_body(), **{"Idempotency-Key": "one"}).json()
    assert again == made, "a replay has no secret"
    assert manager.get(f"{PATH}/{made['client_id']}").json() == made
    assert manager.get(PATH).json()["data"] == [made]
    assert (made["redirect_uris"], made["client_type"]) == ([CALLBACK], "confidential")
    assert audited() == [
        ("oauth_application.created", "oauth_application", made["client_id"]),
    ]
    assert secret not in str(AuditEvent.objects.values())


def test_scopes__are_all_that_oauth_has() -> None:
    from typing import get_args

    assert {*get_args(ClientScopeName)} == {*Scope.values} - {"work"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"redirect_uris": []}, "/redirect_uris"),
        ({"redirect_uris": ["http://partner.example/callback"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://partner.example/callback#part"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://*.partner.example/callback"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://ann:pw@partner.example/callback"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://partner.example/a https://evil.example"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["com.example.app:/callback"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["http://localhost/callback"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["http://127.0.0.1.evil.example/"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["http://127.0.0.1/callback"]}, "/redirect_uris"),
        ({"grant_types": ["client_credentials"]}, "/redirect_uris"),
        ({"grant_types": ["client_credentials"], "client_type": "public"}, "/grant_types"),
        ({"grant_types": ["password"]}, "/grant_types/0"),
        ({"grant_types": ["implicit"]}, "/grant_types/0"),
        ({"grant_types": []}, "/grant_types"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["work"]}, "/scopes/0"),
        ({"scopes": ["everything"]}, "/scopes/0"),
        ({"role": "viewer"}, "/scopes/1"),
        ({"role": "owner"}, "/role"),
        ({"name": " "}, "/name"),
        ({"secret": "mine"}, "/secret"),
    ],
)
def test_a_client__refused(manager: Caller, changes: dict[str, Any], pointer: str) -> None:
    problem = expect_problem(manager.post(PATH, client_body(**changes)), 422, "invalid_input")
    assert pointer in [fault["pointer"] for fault in problem["errors"]]
    assert (OAuthApplication.objects.count(), AuditEvent.objects.count()) == (0, 0)


def test_a_public_client__has_no_secret(manager: Caller) -> None:
    loopback = ["http://127.0.0.1/callback", "http://[::1]/callback"]
    made = created(manager, client_type="public", redirect_uris=loopback)
    assert "client_secret" not in made
    refused = manager.post(f"{PATH}/{made['client_id']}/rotate-secret")
    expect_problem(refused, 409, "secret_not_used")
    for secret in ("", "keyed$", OAuthApplication.objects.get().client_secret):
        answer = ask_token(made["client_id"], secret, "tasks:read")
        assert answer.json()["error"] in ("invalid_client", "unauthorized_client")
    assert AccessToken.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"scopes": ["tasks:read", "audit:read"]}, {"scopes": ["audit:read"]}),
        ({"role": "admin"}, {"role": "admin"}),
        ({"role": "admin", "scopes": ["audit:read"]}, {"role": "admin", "scopes": ["audit:read"]}),
    ],
)
def test_nothing_is_given__that_the_caller_has_not(
    manager: Caller, changes: dict[str, Any], missing: dict[str, Any]
) -> None:
    problem = expect_problem(manager.post(PATH, client_body(**changes)), 403, "grant_exceeded")
    assert problem["missing"] == missing
    one = f"{PATH}/{created(manager)['client_id']}"
    before = OAuthApplication.objects.values().get()
    expect_problem(manager.patch(one, changes), 403, "grant_exceeded")
    assert OAuthApplication.objects.values().get() == before


def test_pools__are_given_only_by_those_who_have_them(house: House, manager: Caller) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    lesser = credentials_manager(house, pool_ids=[house.pool.id])
    for pool_ids in (None, [str(other.id)], [str(house.pool.id), str(other.id)]):
        refused = lesser.post(PATH, client_body(pool_ids=pool_ids))
        expect_problem(refused, 403, "grant_exceeded")
    made = created(lesser, pool_ids=[str(house.pool.id)])
    assert made["pool_ids"] == [str(house.pool.id)]
    # It sees no clients that have other pools.
    whole = f"{PATH}/{created(manager)['client_id']}"
    expect_problem(lesser.call("DELETE", whole), 404, "not_found")
    listed = lesser.get(PATH).json()["data"]
    assert [one["client_id"] for one in listed] == [made["client_id"]]


def test_a_client_that_has_more_than_the_caller__gets_no_secret_of_theirs(
    house: House, manager: Caller
) -> None:
    """A new secret, or a further redirect URI, would be the power of the client."""
    one = f"{PATH}/{created(manager)['client_id']}"
    lesser = credentials_manager(house, scopes=[Scope.CREDENTIALS_MANAGE, Scope.TASKS_READ])
    expect_problem(lesser.post(f"{one}/rotate-secret"), 403, "grant_exceeded")
    changes = {"redirect_uris": ["https://evil.example/"]}
    expect_problem(lesser.patch(one, changes), 403, "grant_exceeded")


@pytest.mark.parametrize(
    ("scope", "role", "code"),
    [
        (Scope.TASKS_READ, Role.ADMIN, "scope_missing"),
        (Scope.CREDENTIALS_READ, Role.EDITOR, "role_too_low"),
        (Scope.CREDENTIALS_MANAGE, Role.EDITOR, "role_too_low"),
    ],
)
def test_calls__need_scope_and_role(
    house: House, manager: Caller, scope: Scope, role: Role, code: str
) -> None:
    one = f"{PATH}/{created(manager)['client_id']}"
    lesser = credentials_manager(house, scopes=[scope], role=role)
    calls = [("DELETE", one, None), ("POST", PATH, client_body()), ("PATCH", one, {"name": "X"})]
    reads = [("GET", PATH, None), ("GET", one, None)]
    concerned = reads if scope == Scope.CREDENTIALS_READ else calls
    for method, path, body in concerned if code == "role_too_low" else [*calls, *reads]:
        expect_problem(lesser.call(method, path, body), 403, code)
    assert OAuthApplication.objects.count() == 1


def test_another_organisations_client__does_not_exist(house: House, manager: Caller) -> None:
    made = created(manager)
    stranger = Caller(credentials_manager_of_strangers(house))
    for path in (f"{PATH}/{made['client_id']}", f"{PATH}/unknown"):
        bodies = [
            expect_problem(stranger.get(path), 404, "not_found"),
            expect_problem(stranger.patch(path, {"name": "Mine"}), 404, "not_found"),
            expect_problem(stranger.call("DELETE", path), 404, "not_found"),
            expect_problem(stranger.post(f"{path}/rotate-secret"), 404, "not_found"),
        ]
        assert {body["detail"] for body in bodies} == {"No such OAuth application."}
    assert stranger.get(PATH).json()["data"] == []
    assert OAuthApplication.objects.get().name == "Partner dashboard"


def credentials_manager_of_strangers(house: House) -> str:
    return issue_key(
        organisation_id=house.strangers_pool.organisation_id,
        name="Stranger",
        scopes=[Scope.CREDENTIALS_READ, Scope.CREDENTIALS_MANAGE],
        role=Role.ADMIN,
    )


def test_a_change__binds_tokens_that_exist(house: House, manager: Caller) -> None:
    made = created(manager, **ITSELF)
    one = f"{PATH}/{made['client_id']}"
    token = ask_token(made["client_id"], made["client_secret"], "tasks:read tasks:create").json()
    partner = Caller(token["access_token"])
    assert partner.post("/v1/tasks", contract()).status_code == 201
    refused = expect_problem(manager.patch(one, {"role": "viewer"}), 422, "invalid_input")
    assert refused["errors"][0]["pointer"] == "/scopes/1"
    changes = {"role": "viewer", "scopes": ["tasks:read"]}
    assert manager.patch(one, changes).status_code == 200
    expect_problem(partner.post("/v1/tasks", contract()), 403, "scope_missing")
    assert partner.get("/v1/tasks").status_code == 200
    data = [row.data for row in AuditEvent.objects.filter(action="oauth_application.changed")]
    assert data == [
        {"fields": ["scopes", "role"], "role": "viewer", "scopes": ["tasks:read"]},
    ]


def test_a_change_that_changes_nothing__is_not_audited(manager: Caller) -> None:
    one = f"{PATH}/{created(manager)['client_id']}"
    assert manager.patch(one, {"name": "Partner dashboard"}).status_code == 200
    assert len(audited()) == 1


def test_a_rotation__ends_the_secret_before(manager: Caller) -> None:
    made = created(manager, **ITSELF)
    rotated = manager.post(f"{PATH}/{made['client_id']}/rotate-secret").json()
    assert ask_token(made["client_id"], made["client_secret"], "tasks:read").status_code == 401
    assert ask_token(made["client_id"], rotated["client_secret"], "tasks:read").status_code == 200
    assert audited()[-1][0] == "oauth_application.changed"


def test_a_deletion__ends_its_tokens(manager: Caller) -> None:
    made = created(manager, **ITSELF)
    token = ask_token(made["client_id"], made["client_secret"], "tasks:read").json()
    partner = Caller(token["access_token"])
    assert partner.get("/v1/tasks").status_code == 200
    assert manager.call("DELETE", f"{PATH}/{made['client_id']}").status_code == 204
    expect_problem(partner.get("/v1/tasks"), 401, "unauthenticated")
    assert ask_token(made["client_id"], made["client_secret"], "tasks:read").status_code == 401
    assert AccessToken.objects.count() == 0
    assert audited()[-1] == ("oauth_application.deleted", "oauth_application", made["client_id"])


def test_clients__are_so_many(manager: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MAX_APPLICATIONS", 1)
    created(manager)
    expect_problem(manager.post(PATH, client_body()), 409, "too_many_oauth_applications")


def test_a_pool_that_is_none__is_not_given(manager: Caller) -> None:
    problem = expect_problem(
        manager.post(PATH, client_body(pool_ids=[str(UUID(int=1))])), 422, "invalid_input"
    )
    assert problem["errors"][0]["pointer"] == "/pool_ids/0"
