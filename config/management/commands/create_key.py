"""Issue an API key for a worker or an organisation: `manage.py create_key ID`."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.grants import Grant
from apps.accounts.models import Organisation
from apps.accounts.principal import system
from apps.accounts.scopes import Role, Scope, scopes_of_role
from apps.accounts.services import grant_key, issue_key
from apps.base import clock
from apps.pools.models import Worker


class Command(BaseCommand):
    """Issue a key for a worker's app, or one that manages an organisation."""

    help = "Issue an API key for a worker's app, or with --role for an organisation, and print it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=UUID, help="of a worker, or with --role of an organisation")
        parser.add_argument(
            "--role",
            choices=Role.values,
            help="the organisation's key has every scope that this role makes effective",
        )

    def handle(self, *args: Any, id: UUID, role: str | None, **options: Any) -> None:  # noqa: A002
        key = _key_of_worker(id) if role is None else _key_of_organisation(id, role)
        self.stdout.write(f"api_key    {key}\nThe key is not shown again.")


def _key_of_worker(worker_id: UUID) -> str:
    worker = Worker.objects.filter(id=worker_id).first()
    if worker is None:
        raise CommandError(
            f"worker {worker_id} does not exist; for a key of an organisation, add --role"
        )
    return issue_key(
        organisation_id=worker.organisation_id,
        name=worker.name,
        scopes=[Scope.WORK],
        worker_id=worker.id,
    )


def _key_of_organisation(organisation_id: UUID, role: str) -> str:
    if not Organisation.objects.filter(id=organisation_id).exists():
        raise CommandError(f"organisation {organisation_id} does not exist")
    scopes = sorted(scopes_of_role(role) - {Scope.WORK.value})
    issued = grant_key(
        actor=system("shell", organisation_id),
        name=f"{role} (shell)",
        grant=Grant(scopes=scopes, role=role),
        is_test=False,
        find_faults=lambda: (),
        at=clock.now(),
    )
    return issued.text
