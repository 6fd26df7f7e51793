"""`manage.py create_key WORKER_ID`: a key for a worker that was enrolled by the API, or another one."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.pools.models import Worker


class Command(BaseCommand):
    help = "Issue an API key that a worker's app works with; print it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("worker_id", type=UUID)

    def handle(self, *args: Any, worker_id: UUID, **options: Any) -> None:
        worker = Worker.objects.filter(id=worker_id).first()
        if worker is None:
            raise CommandError(f"there is no worker {worker_id}")
        key = issue_key(
            organisation_id=worker.organisation_id,
            name=worker.name,
            scopes=[Scope.WORK],
            worker_id=worker.id,
        )
        self.stdout.write(f"api_key    {key}\nThe key is not shown again.")
