"""Make an organisation with workers who sign in, in the installation that the browser tests run.

`python3 -m tests.browser.portal_world 2` prints what it made, for two workers.
"""

import json
import secrets
import sys
from typing import Any


def make(workers: int, mode: str) -> dict[str, Any]:
    """Return the key of a backend, and the workers of its pool."""
    from apps.accounts.services import create_organisation, issue_key
    from apps.pools.models import Pool, Worker
    from apps.pools.services import provision_pool
    from tests.factories import PASSWORD, member_of, worker_in

    organisation = create_organisation(name="Northwind Verification")
    pool = provision_pool(organisation_id=organisation.id, name="Front desk")
    Pool.objects.filter(id=pool.id).update(offer_mode=mode)
    people = []
    for number in range(workers):
        worker, caller = worker_in(pool, name=f"Worker {number + 1}", capacity=10)
        email = f"worker-{secrets.token_hex(6)}@northwind.example"
        member = member_of(organisation, email)
        Worker.objects.filter(id=worker.id).update(user_id=member.user_id)
        people.append(
            {
                "email": email,
                "password": PASSWORD,
                "worker_id": str(worker.id),
                "api_key": caller.key,
                "user_id": str(member.user_id),
            }
        )
    return {
        "api_key": issue_key(organisation_id=organisation.id, name="backend"),
        "organisation_id": str(organisation.id),
        "workers": people,
    }


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(make(int(sys.argv[1]), sys.argv[2])))
