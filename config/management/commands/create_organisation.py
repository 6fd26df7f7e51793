"""Create an organisation and what its backend needs: `manage.py create_organisation NAME`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from apps.accounts.services import create_organisation, issue_key
from apps.pools.services import provision_pool
from apps.webhooks.services import new_signing_secret


class Command(BaseCommand):
    """Create an organisation, a pool, an API key and a webhook secret in one transaction."""

    help = "Create an organisation with a pool; print its ids, an API key and its webhook secret."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--pool", default="Everyone", help="the first pool's name")

    @transaction.atomic
    def handle(self, *args: Any, name: str, pool: str, **options: Any) -> None:
        organisation = create_organisation(name=name)
        first_pool = provision_pool(organisation_id=organisation.id, name=pool)
        self.stdout.write(f"org_id          {organisation.id}")
        self.stdout.write(f"pool_id         {first_pool.id}")
        key = issue_key(organisation_id=organisation.id, name="backend")
        self.stdout.write(f"api_key         {key}")
        secret = new_signing_secret(organisation_id=organisation.id)
        self.stdout.write(f"webhook_secret  {secret}")
        self.stdout.write("The key and the secret are not shown again.")
