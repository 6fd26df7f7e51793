"""Create an organisation with a worker, and print a key that has every scope of an admin.

test_schemathesis.py runs it beside an installation, by `python -m tests.acceptance.admin_key`. The
requests change this organisation only: other tests use that of the demo.
"""

import json
import os
from typing import Any


def create() -> dict[str, str]:
    """Return the key with its id, and the worker that it may work for."""
    from apps.accounts.scopes import Role, Scope
    from apps.accounts.services import add_first_admin, create_organisation, issue_key
    from apps.base import clock
    from apps.pools.models import Presence
    from apps.pools.services import provision_pool, provision_worker

    organisation = create_organisation(name="Requests from the document")
    add_first_admin(
        organisation=organisation, email="admin@document.example", password=None, at=clock.now()
    )
    pool = provision_pool(organisation_id=organisation.id, name="Everyone")
    suits_all: dict[str, Any] = {"trust_level": 5, "rating": 5, "capacity": 100}
    worker = provision_worker(
        pools=[pool], name="Someone", presence=Presence.AVAILABLE, **suits_all
    )
    key = issue_key(
        organisation_id=organisation.id,
        name="requests",
        scopes=list(Scope),
        role=Role.ADMIN,
        worker_id=worker.id,
    )
    return {"key": key, "worker_id": str(worker.id)}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    print(json.dumps(create()))


if __name__ == "__main__":
    main()
