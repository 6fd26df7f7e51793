"""Issue an API key for a worker: `manage.py create_key WORKER_ID`."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.pools.models import Worker


class Command(BaseCommand):
    """Issue a key: for a worker that was enrolled by the API, or another one."""

    help = "Issue an API key for a worker's app and print it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("worker_id", type=UUID)

    def handle(self, *args: Any, worker_id: UUID, **options: Any) -> None:
        worker = Worker.objects.filter(id=worker_id).first()
        if worker is None:
            raise CommandError(f"worker {worker_id} does not exist")
        key = issue_key(
            organisation_id=worker.organisation_id,
            name=worker.name,
            scopes=[Scope.WORK],
            worker_id=worker.id,
        )
        self.stdout.write(f"api_key    {key}\nThe key is not shown again.")
