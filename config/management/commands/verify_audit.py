"""Verify the audit logs of all organisations, or of one: `manage.py verify_audit [ORG]`."""

import os
import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.selectors import Verified, organisations_with_audit, verify_chain
from apps.accounts.services import accept_chain
from apps.base import clock


class Command(BaseCommand):
    """Verify chains, their ends and their heads. Exit with code 1 if one has a fault."""

    help = (
        "Verify the hash chain of each organisation's audit log, its signed end and its signed"
        " heads. Names the first bad row: organisation, position, id, and what is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation", nargs="?", type=UUID, metavar="ORG")
        parser.add_argument(
            "--processes", type=int, default=min(4, os.cpu_count() or 1), help="how many verify"
        )
        parser.add_argument(
            "--accept",
            action="store_true",
            help="sign the end of ORG's chain as it is now, so that the service appends to it"
            " again, after you have found out who changed it",
        )

    def handle(
        self,
        *args: Any,
        organisation: UUID | None,
        processes: int,
        accept: bool,
        **options: Any,
    ) -> None:
        if accept:
            if organisation is None:
                raise CommandError("--accept needs the id of one organisation")
            accept_chain(organisation_id=organisation, at=clock.now())
        chosen = [organisation] if organisation else organisations_with_audit()
        results = [verify_chain(organisation_id=id_, processes=processes) for id_ in chosen]
        for result in results:
            self._report(result)
        if any(result.faults for result in results):
            sys.exit(1)

    def _report(self, result: Verified) -> None:
        for fault in result.faults:
            row = "" if fault.event_id is None else f", row {fault.event_id}"
            self.stderr.write(
                f"{fault.organisation_id} position {fault.position}{row}: {fault.what}:"
                f" {fault.detail}"
            )
        if result.late_days:
            self.stdout.write(
                f"{result.organisation_id} heads signed late, compare them with a copy:"
                f" {', '.join(result.late_days)}"
            )
        verdict = "faults" if result.faults else "intact"
        self.stdout.write(
            f"{result.organisation_id} {verdict}: {result.rows} rows, {result.heads} heads,"
            f" {result.waiting} rows not yet in the chain"
        )
