"""Create workers in a running installation: `python -m tests.browser.people`, with its environment.

It reads an e-mail address a line, and writes what it has created for it as a line of JSON. One
process serves a whole run of tests: starting Django takes seconds.
"""

import json
import os
import sys
from typing import Any

import django

OFFER_SECONDS = 4
PASSWORD = "correct-horse-battery-9"


def create(email: str) -> dict[str, Any]:
    """Return an organisation with a backend's key, a pool, and a member who is a worker."""
    from apps.accounts.models import Member
    from apps.accounts.scopes import Role, Scope
    from apps.accounts.services import create_organisation, create_person, issue_key
    from apps.pools.models import Presence, Worker
    from apps.pools.services import provision_pool, provision_worker
    from apps.webhooks.services import new_signing_secret

    organisation = create_organisation(name="Northwind Verification")
    # Short offers: a task that its worker gave back is offered again after as long.
    offers = dict.fromkeys(("low", "normal", "high", "critical"), OFFER_SECONDS)
    pool = provision_pool(organisation_id=organisation.id, name="Front desk", offer_seconds=offers)
    user = create_person(email=email, name="Bob Ashdown", password=PASSWORD)
    Member.objects.create(organisation=organisation, user=user, role=Role.VIEWER)
    worker = provision_worker(
        pools=[pool], name=user.name, presence=Presence.AVAILABLE, capacity=20
    )
    Worker.objects.filter(id=worker.id).update(user=user)
    own = {"organisation_id": organisation.id, "name": "Tests"}
    return {
        "email": email,
        "organisation_id": str(organisation.id),
        "pool_id": str(pool.id),
        "backend_key": issue_key(**own),
        "worker_key": issue_key(**own, scopes=[Scope.WORK], worker_id=worker.id),
        "webhook_secret": new_signing_secret(organisation_id=organisation.id),
    }


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        print(json.dumps(create(line.strip())), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    main()
