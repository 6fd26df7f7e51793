"""Create an organisation and what its backend needs: `manage.py create_organisation NAME`."""

import sys
from getpass import getpass
from typing import Any
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import transaction

from apps.accounts.sandbox_ids import sandbox_id
from apps.accounts.services import add_first_admin, create_organisation, issue_key
from apps.base import clock
from apps.pools.services import provision_pool
from apps.webhooks.services import new_signing_secret


class Command(BaseCommand):
    """Create an organisation, its sandbox, keys, webhook secrets and an admin, all or none."""

    help = (
        "Create an organisation with a pool and a sandbox;"
        " print its ids, an API key of each and their webhook secrets."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--pool", default="Everyone", help="the first pool's name")
        parser.add_argument(
            "--admin",
            metavar="E-MAIL",
            help="the first admin: asks for a password, or prints a link that makes the account",
        )

    def handle(self, *args: Any, name: str, pool: str, admin: str | None, **options: Any) -> None:
        password = ask_password(admin) if admin else None
        with transaction.atomic():
            organisation = create_organisation(name=name)
            first_pool = provision_pool(organisation_id=organisation.id, name=pool)
            self.stdout.write(f"org_id               {organisation.id}")
            self.stdout.write(f"tenant_id            {organisation.tenant_id}")
            self.stdout.write(f"pool_id              {first_pool.id}")
            key = issue_key(organisation_id=organisation.id, name="backend")
            self.stdout.write(f"api_key              {key}")
            secret = new_signing_secret(organisation_id=organisation.id)
            self.stdout.write(f"webhook_secret       {secret}")
            self._print_sandbox(organisation.id)
            if admin:
                self._add_admin(organisation, admin, password)
        self.stdout.write("The keys and the secrets are not shown again.")

    def _print_sandbox(self, organisation_id: UUID) -> None:
        key = issue_key(organisation_id=organisation_id, name="backend (test)", is_test=True)
        self.stdout.write(f"test_api_key         {key}")
        secret = new_signing_secret(organisation_id=sandbox_id(organisation_id))
        self.stdout.write(f"test_webhook_secret  {secret}")

    def _add_admin(self, organisation: Any, email: str, password: str | None) -> None:
        added = add_first_admin(
            organisation=organisation, email=email, password=password, at=clock.now()
        )
        if added.invitation is None:
            self.stdout.write(f"admin                {email}, who signs in at /accounts/login/")
            return
        self.stdout.write(f"admin                {email}: open this link, once, within 7 days")
        self.stdout.write(f"                     {added.invitation.link}")


def ask_password(email: str) -> str | None:
    """Return the password that is typed; None for a link instead: without a terminal, or empty."""
    try:
        validate_email(email)
    except ValidationError:
        raise CommandError(f"{email} is not an e-mail address") from None
    if not sys.stdin.isatty():
        return None
    password = getpass(f"Password of {email} (empty: print a link instead): ")
    if not password:
        return None
    try:
        validate_password(password)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    if getpass("Again: ") != password:
        raise CommandError("the passwords differ")
    return password
