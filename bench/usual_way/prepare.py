"""Create the usual way's database, tables and key, and print as JSON how to call it."""

import json
import os
import secrets
from pathlib import Path

import django
import psycopg
from django.core.management import call_command

from bench.usual_way.settings import DATABASE
from config import embedded


def main() -> None:
    server = embedded.database_url(Path(os.environ["BIOLAYER_HOME"]))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.usual_way.settings"
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    print(json.dumps(_issue_key()))


def _issue_key() -> dict[str, str]:
    from bench.usual_way.authentication import digest_of
    from bench.usual_way.models import ApiKey, Organisation

    organisation = Organisation.objects.create(name="Northwind Verification")
    api_key = secrets.token_urlsafe(32)
    ApiKey.objects.create(organisation=organisation, digest=digest_of(api_key))
    return {"org_id": str(organisation.id), "api_key": api_key}


if __name__ == "__main__":
    main()
