"""Set an organisation's fair share: `manage.py set_weight ORGANISATION_ID WEIGHT`."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.matching.services import set_weight
from biolayer.errors import NotFound


class Command(BaseCommand):
    """Set the weight of one organisation."""

    help = "Set an organisation's weight in the fair share of matching: 1 (the default) to 100."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation_id", type=UUID)
        parser.add_argument("weight", type=int, choices=range(1, 101), metavar="WEIGHT")

    def handle(self, *args: Any, organisation_id: UUID, weight: int, **options: Any) -> None:
        try:
            set_weight(organisation_id=organisation_id, weight=weight)
        except NotFound:
            raise CommandError(f"organisation {organisation_id} does not exist") from None
        self.stdout.write(f"organisation {organisation_id} now has the weight {weight}")
