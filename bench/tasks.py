"""Create the service's tables and an organisation with tasks, and print a key as JSON."""

import argparse
import json
import os

import django
from django.core.management import call_command


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", type=int, required=True)
    tasks = options.parse_args().tasks
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    call_command("migrate", verbosity=0)

    from apps.accounts.selectors import authenticate_key
    from apps.accounts.services import create_organisation, issue_key
    from apps.tasks.services import create_task

    organisation = create_organisation(name="Northwind Verification")
    key = issue_key(organisation_id=organisation.id, name="Bench")
    known = authenticate_key(key)
    assert known is not None
    contract = {
        "task_type": "verification",
        "domain": "security",
        "title": "Verify endpoint owner activity",
        "instructions": "Call the endpoint owner.",
        "output": {"expected_format": "text"},
    }
    for _ in range(tasks):
        create_task(actor=known.principal, document=contract, at=known.at)
    print(json.dumps({"api_key": key}))


if __name__ == "__main__":
    main()
