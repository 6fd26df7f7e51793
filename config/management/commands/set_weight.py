"""`manage.py set_weight ORGANISATION_ID WEIGHT`: its part of the offers while there is too much for all."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.matching.services import weigh
from biolayer.errors import NotFound


class Command(BaseCommand):
    help = (
        "Give an organisation a weight of 1 to 100 (at first 1) among those of this installation."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation_id", type=UUID)
        parser.add_argument("weight", type=int, choices=range(1, 101), metavar="WEIGHT")

    def handle(self, *args: Any, organisation_id: UUID, weight: int, **options: Any) -> None:
        try:
            weigh(organisation_id=organisation_id, weight=weight)
        except NotFound:
            raise CommandError(f"there is no organisation {organisation_id}") from None
        self.stdout.write(f"organisation {organisation_id} has the weight {weight} now")
