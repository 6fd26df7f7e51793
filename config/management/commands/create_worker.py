"""Create a worker, and a key for its app: `manage.py create_worker POOL_ID NAME`."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.pools.models import Pool, Presence, WorkerKind
from apps.pools.services import provision_worker


class Command(BaseCommand):
    """Create a worker and its key in one transaction."""

    help = "Create a worker in a pool; print its id and its API key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("pool_id", type=UUID)
        parser.add_argument("name")
        parser.add_argument("--kind", choices=WorkerKind.values, default=WorkerKind.HUMAN)
        parser.add_argument("--skill", action="append", default=[], dest="skills")
        parser.add_argument("--certification", action="append", default=[], dest="certifications")
        parser.add_argument("--trust", type=int, default=0, choices=range(6))
        parser.add_argument("--rating", type=float, default=0)
        parser.add_argument("--capacity", type=int, default=1)
        parser.add_argument(
            "--presence",
            choices=Presence.values,
            default=Presence.OFFLINE,
            help="default: offline, until the worker's app changes it",
        )

    @transaction.atomic
    def handle(self, *args: Any, pool_id: UUID, name: str, **options: Any) -> None:
        pool = Pool.objects.filter(id=pool_id).first()
        if pool is None:
            raise CommandError(f"pool {pool_id} does not exist")
        if not 0 <= options["rating"] <= 5:
            raise CommandError("--rating must be 0 to 5")
        worker = provision_worker(
            pools=[pool],
            name=name,
            kind=WorkerKind(options["kind"]),
            skills=options["skills"],
            certifications=dict.fromkeys(options["certifications"]),
            trust_level=options["trust"],
            rating=options["rating"],
            capacity=options["capacity"],
            presence=Presence(options["presence"]),
        )
        key = issue_key(
            organisation_id=pool.organisation_id,
            name=name,
            scopes=[Scope.WORK],
            worker_id=worker.id,
        )
        self.stdout.write(f"worker_id  {worker.id}\napi_key    {key}")
        self.stdout.write("The key is not shown again.")
        if worker.presence != Presence.AVAILABLE:
            self.stdout.write(
                "The worker gets no offers until it is available: PATCH /v1/workers/me"
            )
