"""Test every address of the console with every role, foreign ids, and forms without a token.

The addresses are those of the namespace `admin`: a new one without an entry in `PAGES` fails. An
entry says which scope a page needs, for each method; the least role follows from `LEAST_ROLE`,
unless it names a higher one. A page about a thing takes its id by a name of `SUBJECTS`, where a new one is made for both sides.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from apps.accounts.models import BrowserSession, Member, Organisation, User
from apps.accounts.scopes import LEAST_ROLE, Role, Scope
from apps.accounts.selectors.staff import HIDDEN
from apps.accounts.services import (
    invite,
    issue_key,
    make_superuser,
)
from apps.accounts.services.staff import open_access
from apps.base import clock
from apps.pools.services import create_oauth_application, post_note
from apps.reviews.services import open_appeal
from apps.tasks import services as tasks
from apps.webhooks.models import Destination
from apps.webhooks.services import rotate_key
from tests.api.steps import upload
from tests.api.test_tenancy import webhook_subjects
from tests.claim_steps import claimed
from tests.factories import MANAGE, PASSWORD, Caller, House, admin_key, contract, member_of
from tests.review_steps import decide, in_review, reviewer, set_policy

ROLES = list(Role)
SECRET = "JBSWY3DPEHPK3PXP"


@dataclass(frozen=True)
class Page:
    """Say who may use an address by one method, and what it then answers."""

    # None: the page is for superusers of the installation, who are no members.
    scope: Scope | None
    method: str = "get"
    body: dict[str, Any] = field(default_factory=dict)
    # None: a form that is sent empty is shown again, or leads back.
    status: int | None = 200
    # A form that, sent empty, asks no service for anything: it leads back, whatever the role. Its own
    # tests send it filled in.
    leads_back: bool = False
    # Where the service asks for more than the scope does.
    role: Role = Role.VIEWER

    @property
    def least(self) -> Role:
        assert self.scope is not None
        return max(LEAST_ROLE[self.scope], self.role, key=ROLES.index)

    def is_answer(self, answer: Any) -> bool:
        return answer.status_code in ((200, 302) if self.status is None else (self.status,))


def get(scope: Scope | None) -> Page:
    return Page(scope)


def post(scope: Scope | None, status: int | None = 302, **body: Any) -> Page:
    """Return a form; it is answered by a redirect, unless `status` says otherwise."""
    return Page(scope, "post", body, status)


def empty(scope: Scope) -> Page:
    """Return a form that is sent empty: who may send it is what is tested here."""
    return post(scope, None)


def back(scope: Scope) -> Page:
    """Return a form that leads back when it is sent empty."""
    return Page(scope, "post", status=302, leads_back=True)


def form(scope: Scope) -> tuple[Page, Page]:
    """Return a page with a form, which is sent empty."""
    return get(scope), empty(scope)


def asking(scope: Scope) -> tuple[Page, Page]:
    """Return a page that asks first, and the confirmation."""
    return get(scope), post(scope)


READS = get(Scope.TASKS_READ)
MANAGER_READS = Page(Scope.TASKS_REVIEW, role=Role.MANAGER)
CREDENTIALS = Scope.CREDENTIALS_MANAGE
ORGANISATION = Scope.ORGANISATION_MANAGE
KEY = {"name": "Desk", "mode": "live", "scopes": ["tasks:read"], "role": "viewer"}
CLIENT = {
    **KEY,
    "client_type": "confidential",
    "grant_types": ["client_credentials"],
}
SETTINGS = {"name": "Northwind", "retain_days": "30", "allowed_networks": ""}

PAGES: dict[str, tuple[Page, ...]] = {
    "board": (READS,),
    "board_fragment": (READS,),
    "tasks_task_changelist": (READS,),
    "task": (READS,),
    "task_parts": (READS,),
    "task_events": (READS,),
    "task_new": form(Scope.TASKS_CREATE),
    "task_new_check": (empty(Scope.TASKS_CREATE),),
    "task_message": (empty(Scope.TASKS_CREATE),),
    "task_action": form(Scope.TASKS_MANAGE),
    # Who may undo is in the token that the change gave; without one nothing is undone.
    "task_undo": (back(Scope.TASKS_READ),),
    # Without chosen tasks it leads back to the list.
    "tasks_export": (Page(Scope.TASKS_READ, body={"format": "csv"}),),
    "tasks_bulk": (post(Scope.TASKS_READ), Page(Scope.TASKS_READ, status=302)),
    "task_evidence": (get(Scope.EVIDENCE_UNVERIFIED),),
    # --- decisions on verdicts --------------------------------------------------------------------
    "reviews_appeal_changelist": (MANAGER_READS,),
    "appeal": (MANAGER_READS, replace(empty(Scope.TASKS_REVIEW), role=Role.MANAGER)),
    "reviews_secondlook_changelist": (get(Scope.TASKS_REVIEW),),
    "reviewers": (MANAGER_READS,),
    # --- pools and workers ------------------------------------------------------------------------
    "pools_pool_changelist": (get(Scope.POOLS_READ),),
    "pool": (get(Scope.POOLS_READ),),
    "pool_new": form(Scope.POOLS_MANAGE),
    "pool_edit": form(Scope.POOLS_MANAGE),
    "pool_close": form(Scope.POOLS_MANAGE),
    "pool_add": form(Scope.POOLS_MANAGE),
    "pool_remove": (empty(Scope.POOLS_MANAGE),),
    "note_new": form(Scope.POOLS_MANAGE),
    "note_delete": (post(Scope.POOLS_MANAGE),),
    "pools_worker_changelist": (get(Scope.POOLS_READ),),
    "worker": (get(Scope.POOLS_READ),),
    "worker_new": form(Scope.POOLS_MANAGE),
    "worker_edit": form(Scope.POOLS_MANAGE),
    "worker_presence": (empty(Scope.POOLS_MANAGE),),
    "worker_join": (back(Scope.POOLS_MANAGE),),
    "worker_leave": (back(Scope.POOLS_MANAGE),),
    "worker_key": (Page(ORGANISATION, "post", leads_back=True),),
    "worker_end": form(Scope.POOLS_MANAGE),
    "worker_link": (back(ORGANISATION),),
    "worker_unlink": (back(ORGANISATION),),
    "worker_invite": form(ORGANISATION),
    "worker_invite_resend": (post(ORGANISATION),),
    "worker_invite_revoke": (post(ORGANISATION),),
    "claim_decide": (empty(Scope.POOLS_MANAGE),),
    "claim_document": (get(Scope.POOLS_MANAGE),),
    # --- webhooks ---------------------------------------------------------------------------------
    "webhooks_destination_changelist": (get(Scope.WEBHOOKS_READ),),
    "webhooks_origin_changelist": (get(Scope.WEBHOOKS_READ),),
    "webhooks_delivery_changelist": (get(Scope.WEBHOOKS_READ),),
    "webhooks_recovery_changelist": (get(Scope.WEBHOOKS_READ),),
    "origin": (get(Scope.WEBHOOKS_READ),),
    "endpoint": (get(Scope.WEBHOOKS_READ),),
    "endpoint_fragment": (get(Scope.WEBHOOKS_READ),),
    "endpoint_new": form(Scope.WEBHOOKS_MANAGE),
    "endpoint_settings": form(Scope.WEBHOOKS_MANAGE),
    "endpoint_test": (empty(Scope.WEBHOOKS_MANAGE),),
    "endpoint_enabled": (empty(Scope.WEBHOOKS_MANAGE),),
    "endpoint_delete": form(Scope.WEBHOOKS_MANAGE),
    "delivery": (get(Scope.WEBHOOKS_READ),),
    "delivery_fragment": (get(Scope.WEBHOOKS_READ),),
    "delivery_resend": (empty(Scope.WEBHOOKS_MANAGE),),
    "delivery_resend_one": (empty(Scope.WEBHOOKS_MANAGE),),
    "recovery_new": form(Scope.WEBHOOKS_MANAGE),
    "recovery": (get(Scope.WEBHOOKS_READ),),
    "recovery_fragment": (get(Scope.WEBHOOKS_READ),),
    "signing_keys": (get(Scope.WEBHOOKS_READ),),
    "signing_key_rotate": (empty(Scope.WEBHOOKS_MANAGE),),
    # The newest key is not ended: both lead back to the list.
    "signing_key_end": (
        Page(Scope.WEBHOOKS_MANAGE, status=302, leads_back=True),
        back(Scope.WEBHOOKS_MANAGE),
    ),
    # --- access -----------------------------------------------------------------------------------
    "accounts_member_changelist": (get(Scope.ORGANISATION_READ),),
    "member": (get(Scope.ORGANISATION_READ),),
    "member_invite": (
        get(ORGANISATION),
        post(ORGANISATION, email="jo@contoso.example", role="viewer"),
    ),
    "member_role": (post(ORGANISATION, role="editor"),),
    "member_remove": asking(ORGANISATION),
    "member_unlink": (post(ORGANISATION),),
    "member_end_session": (post(ORGANISATION),),
    "accounts_invitation_changelist": (get(Scope.ORGANISATION_READ),),
    "invitation": (get(Scope.ORGANISATION_READ),),
    "invitation_resend": (post(ORGANISATION),),
    "invitation_revoke": (post(ORGANISATION),),
    "organisation": (get(Scope.ORGANISATION_READ), post(ORGANISATION, **SETTINGS)),
    "accounts_apikey_changelist": (get(Scope.CREDENTIALS_READ),),
    "api_key": (get(Scope.CREDENTIALS_READ),),
    "api_key_create": (get(CREDENTIALS), post(CREDENTIALS, 200, **KEY)),
    "api_key_rotate": (post(CREDENTIALS, 200, overlap_seconds="3600"),),
    "api_key_revoke": asking(CREDENTIALS),
    "accounts_oauthapplication_changelist": (get(Scope.CREDENTIALS_READ),),
    "oauth_application": (get(Scope.CREDENTIALS_READ),),
    "oauth_create": (get(CREDENTIALS), post(CREDENTIALS, 200, **CLIENT)),
    "oauth_rotate": (post(CREDENTIALS, 200),),
    "oauth_delete": asking(CREDENTIALS),
    "audit": (get(Scope.AUDIT_READ),),
    "audit_chain": (get(Scope.AUDIT_READ),),
    "audit_export": (get(Scope.AUDIT_READ),),
    # --- the installation's staff -----------------------------------------------------------------
    "staff_organisations": (get(None),),
    "staff_open": (
        get(None),
        post(None, reason="Support case 4711 of Contoso", minutes="15"),
    ),
    "staff_close": (post(None),),
}

# The arguments of an address that name no thing.
VALUES = {"kind": "csv", "name": "boost"}
# Where an argument does not name the thing of `SUBJECTS` that it is the id of.
NAMES = {("signing_key_end", "key_id"): "signing_key"}


class Side:
    """Hold an organisation, and make its things when a page asks for them."""

    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self.house = House.build()
        self.organisation: Organisation = self.house.organisation
        self._made: dict[str, Any] = {}

    def subject(self, name: str) -> Any:
        """Return the id of a thing of `SUBJECTS`, the same one each time."""
        if name not in self._made:
            self._made[name] = SUBJECTS[name](self)
        return self._made[name]

    def webhook(self, name: str) -> Any:
        """Return the id of an endpoint, its delivery or its recovery."""
        if "webhooks" not in self._made:
            self._made["webhooks"] = webhook_subjects(self.house)
        return self._made["webhooks"][name]

    def know(self, name: str, id_: Any) -> None:
        """Let a thing be the one that another belongs to."""
        self._made[name] = id_

    def backend(self) -> Caller:
        return Caller(issue_key(organisation_id=self.organisation.id, name="backend"))

    def member(self, role: Role) -> Member:
        email = f"{role.value}-{next(self._numbers)}@contoso.example"
        return member_of(self.organisation, email, role=role)


def a_task(side: Side) -> Any:
    actor = side.backend().principal
    return tasks.create_task(actor=actor, document=contract(), at=clock.now()).task.id


def an_appeal(side: Side) -> Any:
    set_policy(side.house.pool)
    review = decide(reviewer(side.house).principal, in_review(side.house), "reject")
    actor = side.house.bob.principal
    return open_appeal(actor=actor, review_id=review.id, reason="It is right.", at=clock.now()).id


def some_evidence(side: Side) -> Any:
    """Return the id of evidence; the task of the side is that of its run."""
    run = side.house.started()
    side.know("task_id", run.task_id)
    return upload(side.house.bob, run, b"A note.").json()["evidence_id"]


def a_signing_key(side: Side) -> Any:
    actor = side.house.alice.principal
    return rotate_key(actor=actor, kind="v1", overlap_seconds=0, at=clock.now()).key.id


def a_note(side: Side) -> Any:
    actor = admin_key(side.organisation).principal
    document = {"text": "The depot is closed today."}
    pool_id = side.house.pool.id
    return post_note(actor=actor, pool_id=pool_id, document=document, at=clock.now()).id


def an_origin(side: Side) -> Any:
    return Destination.objects.get(id=side.webhook("endpoint")).origin_id


def an_invitation(side: Side) -> Any:
    actor = admin_key(side.organisation).principal
    email = f"{uuid4()}@contoso.example"
    return invite(actor=actor, email=email, role=Role.VIEWER, at=clock.now()).id


def a_session(side: Side) -> Any:
    user = Member.objects.get(id=side.subject("member_id")).user
    Client().force_login(user)
    return BrowserSession.objects.get(user=user).id


def a_client(side: Side) -> Any:
    key = issue_key(
        organisation_id=side.organisation.id,
        name="Boss",
        role=Role.ADMIN,
        scopes=[*MANAGE, CREDENTIALS, Scope.TASKS_READ],
    )
    document = {name: CLIENT[name] for name in CLIENT if name != "mode"}
    issued = create_oauth_application(
        actor=Caller(key).principal, document=document, at=clock.now()
    )
    return issued.application.client_id


SUBJECTS: dict[str, Callable[[Side], Any]] = {
    "task_id": a_task,
    "appeal_id": an_appeal,
    "member_id": lambda side: side.member(Role.VIEWER).id,
    "session_id": a_session,
    "invitation_id": an_invitation,
    "key_id": lambda side: side.backend().principal.key_id,
    "client_id": a_client,
    "organisation_id": lambda side: side.organisation.id,
    "pool_id": lambda side: side.house.pool.id,
    "note_id": a_note,
    "worker_id": lambda side: side.house.bobs_worker.id,
    "claim_id": lambda side: claimed(side.house.bob.principal).id,
    "evidence_id": some_evidence,
    "endpoint_id": lambda side: side.webhook("endpoint"),
    "delivery_id": lambda side: side.webhook("delivery"),
    "recovery_id": lambda side: side.webhook("recovery"),
    "origin_id": an_origin,
    "signing_key": a_signing_key,
}


@dataclass
class World:
    """Hold two organisations."""

    own: Side
    foreign: Side


@pytest.fixture
def world(database: None) -> World:
    return World(Side(), Side())


# --- the addresses --------------------------------------------------------------------------------


def patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver):
            yield from patterns(one)
        else:
            yield one


def console() -> list[URLPattern]:
    (root,) = [
        one
        for one in get_resolver().url_patterns
        if isinstance(one, URLResolver) and one.namespace == "admin"
    ]
    return list(patterns(root))


def parameters(name: str) -> list[str]:
    """Return the names of the arguments that an address takes."""
    named = {one.name: one for one in console()}
    return [*named[name].pattern.converters, *named[name].default_args]


def address(name: str, side: Side) -> str:
    """Return the address of a page about things of a side."""
    # A task comes last: evidence says whose it is.
    needed = sorted(parameters(name), key=lambda one: one == "task_id")
    taken = {
        one: VALUES[one] if one in VALUES else side.subject(NAMES.get((name, one), one))
        for one in needed
    }
    return reverse(f"admin:{name}", kwargs=taken)


def about_a_thing(name: str) -> bool:
    return any(one not in VALUES for one in parameters(name))


CASES = [(name, page) for name, pages in PAGES.items() for page in pages]
OF_MEMBERS = [(name, page) for name, page in CASES if page.scope is not None]
OF_STAFF = [(name, page) for name, page in CASES if page.scope is None]


def ids(case: Any) -> str:
    return case if isinstance(case, str) else case.method


def test_every_address_has_an_entry() -> None:
    found = {str(one.name) for one in console()}
    missing = found - PAGES.keys()
    assert not missing, f"{sorted(missing)} are new. Mend: an entry in PAGES, with who may use it."
    assert not PAGES.keys() - found


def test_every_address_leads_to_a_name_of_its_own() -> None:
    names = [one.name for one in console()]
    assert {name for name in names if names.count(name) > 1} <= {"audit_export"}


# --- who calls ------------------------------------------------------------------------------------


def signed_in(user: User | None, *, checks: bool = False) -> Client:
    client = Client(enforce_csrf_checks=checks, raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def call(client: Client, page: Page, path: str) -> Any:
    answer = getattr(client, page.method)(path, page.body)
    answer.close()  # of a file
    return answer


def superuser(*, with_factor: bool = True) -> User:
    user = make_superuser(email=f"{uuid4()}@biolayer.example", password=PASSWORD)
    if with_factor:
        TOTP.activate(user, SECRET)
    return user


def reader(side: Side) -> Client:
    """Return the browser of a superuser who reads an organisation with a reason."""
    user = superuser()
    client = signed_in(user)
    open_access(
        user_id=user.id,
        session_id=BrowserSession.objects.get(user=user).id,
        organisation_id=side.organisation.id,
        reason="Support case 4711 of Contoso",
        minutes=15,
        address="127.0.0.1",
        at=clock.now(),
    )
    return client


# --- pages of members -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "page"), OF_MEMBERS, ids=ids)
def test_page__needs_its_role(world: World, name: str, page: Page) -> None:
    path, least = address(name, world.own), page.least
    for role in ROLES[: ROLES.index(least)]:
        answer = call(signed_in(world.own.member(role).user), page, path)
        if page.leads_back and role != Role.WORKER and answer.status_code == 302:
            continue
        assert answer.status_code == 403, (role, answer)
        assert "Not allowed" in answer.content.decode()
    # The higher roles first: the form of the last one may change what it is about.
    allowed = ROLES[ROLES.index(least) :]
    for role in allowed if page.method == "get" else allowed[:1]:
        answer = call(signed_in(world.own.member(role).user), page, path)
        assert page.is_answer(answer), (role, answer)
        assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(("name", "page"), OF_MEMBERS, ids=ids)
def test_page__is_for_those_who_signed_in(world: World, name: str, page: Page) -> None:
    path = address(name, world.own)
    answer = call(signed_in(None), page, path)
    query = f"?{urlencode(page.body)}" if page.method == "get" and page.body else ""
    wanted = f"/accounts/login/?next={quote(path + query)}"
    assert (answer.status_code, answer["Location"]) == (302, wanted)


@pytest.mark.parametrize(("name", "page"), OF_MEMBERS, ids=ids)
def test_superuser__sees_nothing_without_a_reason(world: World, name: str, page: Page) -> None:
    answer = call(signed_in(superuser()), page, address(name, world.own))
    assert (answer.status_code, answer["Location"]) == (302, "/admin/organisations/")


@pytest.mark.parametrize(("name", "page"), OF_MEMBERS, ids=ids)
def test_superuser__reads_as_a_viewer_with_a_reason(world: World, name: str, page: Page) -> None:
    answer = call(reader(world.own), page, address(name, world.own))
    is_hidden = page.scope is not None and page.scope.value in HIDDEN
    reads = page.method == "get" and page.least == Role.VIEWER and not is_hidden
    assert page.is_answer(answer) if reads else answer.status_code == 403


@pytest.mark.parametrize(
    ("name", "page"), [case for case in OF_MEMBERS if about_a_thing(case[0])], ids=ids
)
def test_thing_of_another_organisation__does_not_exist(world: World, name: str, page: Page) -> None:
    path = address(name, world.foreign)
    for client in (
        signed_in(world.own.member(Role.ADMIN).user),
        *([reader(world.own)] if page.method == "get" else []),
    ):
        answer = call(client, page, path)
        is_hidden = answer.status_code in ((302, 404) if page.leads_back else (404,))
        # Staff may lack the role for the page, whatever it is about.
        assert is_hidden or answer.status_code == 403, answer
        assert is_hidden or "staff" in answer.content.decode().lower()
        assert str(world.foreign.organisation.id) not in answer.content.decode()
    own = call(signed_in(world.foreign.member(Role.ADMIN).user), page, path)
    assert page.is_answer(own), own.status_code


# --- pages of the installation's staff ------------------------------------------------------------


@pytest.mark.parametrize(("name", "page"), OF_STAFF, ids=ids)
def test_staff_page__is_for_superusers_with_a_second_factor(
    world: World, name: str, page: Page
) -> None:
    path = address(name, world.own)
    for role in ROLES:
        answer = call(signed_in(world.own.member(role).user), page, path)
        assert answer.status_code == 404, role
    answer = call(signed_in(None), page, path)
    assert (answer.status_code, answer["Location"]) == (302, f"/accounts/login/?next={path}")
    answer = call(signed_in(superuser(with_factor=False)), page, path)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/two-factor/")
    assert page.is_answer(call(signed_in(superuser()), page, path))


# --- forms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "page"), [case for case in CASES if case[1].method == "post"], ids=ids
)
def test_form__needs_its_token(world: World, name: str, page: Page) -> None:
    user = superuser() if page.scope is None else world.own.member(Role.ADMIN).user
    answer = call(signed_in(user, checks=True), page, address(name, world.own))
    assert answer.status_code == 403
    assert "This form has expired" in answer.content.decode()


@pytest.mark.parametrize("name", PAGES)
def test_address__knows_its_methods_only(world: World, name: str) -> None:
    known = {page.method for page in PAGES[name]}
    user = superuser() if PAGES[name][0].scope is None else world.own.member(Role.ADMIN).user
    client, path = signed_in(user), address(name, world.own)
    for method in {"get", "post", "put", "delete"} - known:
        assert getattr(client, method)(path).status_code == 405, method


def test_sign_in__leads_back_to_the_page(world: World) -> None:
    member = world.own.member(Role.VIEWER)
    client = Client(enforce_csrf_checks=True)
    first = client.get("/admin/tasks/task/")
    page = client.get(first["Location"])
    fields = {"login": member.user.email, "password": PASSWORD, "next": "/admin/tasks/task/"}
    token = str(page.context["csrf_token"])
    answer = client.post(first["Location"], {**fields, "csrfmiddlewaretoken": token})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/tasks/task/")
