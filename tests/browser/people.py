"""Create people in a running installation: `python -m tests.browser.people`, with its environment.

It reads a line of JSON for each wish (`{"make": "desk", "email": …}`), and writes what it has made
as another. One process serves a whole run of tests: starting Django takes seconds.
"""

import io
import json
import os
import secrets
import sys
from typing import Any

import django

OFFER_SECONDS = 4
PASSWORD = "correct-horse-battery-9"


def desk(email: str) -> dict[str, Any]:
    """Return an organisation with a backend's key, a pool, and a member who is a worker."""
    from apps.accounts.scopes import Role, Scope
    from apps.accounts.services import create_organisation, issue_key
    from apps.pools.models import Presence, Worker
    from apps.pools.services import provision_pool, provision_worker
    from apps.webhooks.services import new_signing_secret

    organisation = create_organisation(name="Northwind Verification")
    # Short offers: a task that its worker gave back is offered again after as long.
    offers = dict.fromkeys(("low", "normal", "high", "critical"), OFFER_SECONDS)
    pool = provision_pool(organisation_id=organisation.id, name="Front desk", offer_seconds=offers)
    user = _member(organisation, email, "Bob Ashdown", Role.WORKER)
    worker = provision_worker(
        pools=[pool], name=user.name, presence=Presence.AVAILABLE, capacity=20
    )
    Worker.objects.filter(id=worker.id).update(user=user)
    own = {"organisation_id": organisation.id, "name": "Tests"}
    return {
        "session": _session(user),
        "pool_id": str(pool.id),
        "backend_key": issue_key(**own),
        "worker_key": issue_key(**own, scopes=[Scope.WORK], worker_id=worker.id),
        "webhook_secret": new_signing_secret(organisation_id=organisation.id),
    }


def review_key(pool_id: str, name: str) -> dict[str, Any]:
    """Return the key of a manager who reviews in the organisation of a pool."""
    from apps.accounts.scopes import Role, Scope
    from apps.accounts.services import issue_key
    from apps.pools.models import Pool

    own = {"organisation_id": Pool.objects.get(id=pool_id).organisation_id, "name": name}
    return {"key": issue_key(**own, role=Role.MANAGER, scopes=[Scope.TASKS_REVIEW])}


def world(workers: int, mode: str) -> dict[str, Any]:
    """Return the key of a backend, and the workers of its pool."""
    from apps.accounts.services import create_organisation, issue_key
    from apps.pools.models import Pool
    from apps.pools.services import provision_pool

    organisation = create_organisation(name="Northwind Verification")
    pool = provision_pool(organisation_id=organisation.id, name="Front desk")
    Pool.objects.filter(id=pool.id).update(offer_mode=mode)
    return {
        "api_key": issue_key(organisation_id=organisation.id, name="backend"),
        "organisation_id": str(organisation.id),
        "workers": [_world_worker(organisation, pool, number) for number in range(workers)],
    }


def _world_worker(organisation: Any, pool: Any, number: int) -> dict[str, Any]:
    from apps.accounts.scopes import Role
    from apps.pools.models import Worker
    from tests.factories import worker_in

    worker, caller = worker_in(pool, name=f"Worker {number + 1}", capacity=10)
    email = f"worker-{secrets.token_hex(6)}@northwind.example"
    user = _member(organisation, email, worker.name, Role.WORKER)
    Worker.objects.filter(id=worker.id).update(user=user)
    return {"email": email, "session": _session(user), "api_key": caller.key}


def admin(email: str, name: str) -> dict[str, Any]:
    """Return the session of the admin of an organisation of their own."""
    from apps.accounts.scopes import Role
    from apps.accounts.services import create_organisation

    organisation = create_organisation(name="Northwind Verification")
    return {"session": _session(_member(organisation, email, name, Role.ADMIN))}


def worker(email: str, traits: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """Make a person a worker of their organisation."""
    from apps.accounts.models import Member, User
    from apps.pools.models import Worker
    from apps.pools.services import provision_pool, provision_worker

    user = User.objects.get(email=email)
    organisation = Member.objects.get(user=user).organisation
    pool = provision_pool(organisation_id=organisation.id, name="Front desk")
    made = provision_worker(pools=[pool], name=user.name, presence="available", **traits)
    Worker.objects.filter(id=made.id).update(user=user, **columns)
    return {"worker_id": str(made.id)}


def reviewer(email: str, pool_id: str, policy: dict[str, Any], role: str) -> dict[str, Any]:
    """Return the session of a new member of a pool's organisation; the policy is the pool's."""
    from apps.pools.models import Pool
    from biolayer.reviews import ReviewPolicy

    pool = Pool.objects.select_related("organisation").get(id=pool_id)
    stored = ReviewPolicy.model_validate(policy).stored()
    Pool.objects.filter(id=pool_id).update(review_policy=stored)
    return {"session": _session(_member(pool.organisation, email, "Rita Sommer", role))}


def organisation(name: str, email: str) -> str:
    """Return what the command prints: with the link of an invitation for a new person."""
    from django.core.management import call_command

    output = io.StringIO()
    call_command("create_organisation", name, admin=email, stdout=output)
    return output.getvalue()


def _member(organisation: Any, email: str, name: str, role: str) -> Any:
    from apps.accounts.models import Member
    from apps.accounts.services import create_person

    user = create_person(email=email, name=name, password=PASSWORD)
    Member.objects.create(organisation=organisation, user=user, role=role)
    return user


def _session(user: Any) -> dict[str, str]:
    """Return the cookie of a browser in which the person has signed in."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from apps.accounts.sessions import SessionStore

    session: Any = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return {"name": settings.SESSION_COOKIE_NAME, "value": session.session_key}


MAKERS = {
    one.__name__: one for one in (desk, review_key, world, admin, worker, reviewer, organisation)
}


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        wish = json.loads(line)
        made = MAKERS[wish.pop("make")](**wish)
        print(json.dumps(made), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    main()
