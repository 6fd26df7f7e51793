"""Erase what names a person: `manage.py erase_subject ORG --worker ID --text TEXT --apply`."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.base import clock
from biolayer.errors import NotFound
from config.erasure import Subject, erase_subject

MIN_TEXT = 4


class Command(BaseCommand):
    """Report what names a person in an organisation, and erase it with `--apply`."""

    help = (
        "Find what names a person: a worker, a member, or a text such as an e-mail address or a"
        " phone number. Reports what is erased, and what is kept and why. Without --apply nothing"
        " is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation", type=UUID, metavar="ORG")
        parser.add_argument("--worker", type=UUID, help="the id of a worker")
        parser.add_argument("--email", help="the e-mail address of a member")
        parser.add_argument(
            "--text", action="append", default=[], help="what contracts and outputs call them"
        )
        parser.add_argument("--apply", action="store_true", help="erase; otherwise only report")

    def handle(
        self,
        *args: Any,
        organisation: UUID,
        worker: UUID | None,
        email: str | None,
        text: list[str],
        apply: bool,
        **options: Any,
    ) -> None:
        if not (worker or email or text):
            raise CommandError("name a --worker, an --email or a --text")
        if any(len(one.strip()) < MIN_TEXT for one in text):
            raise CommandError(f"a text has at least {MIN_TEXT} characters: it may be in any task")
        subject = Subject(organisation, worker, email, text)
        try:
            findings = erase_subject(subject, apply=apply, at=clock.now())
        except NotFound as error:
            raise CommandError(str(error)) from error
        erased = "erased" if apply else "would be erased"
        for found in findings:
            outcome = f"kept: {found.kept_because}" if found.kept_because else erased
            self.stdout.write(f"{found.count:>6}  {found.place}: {outcome}")
        if not findings:
            self.stdout.write("nothing found")
        elif not apply:
            self.stdout.write("Nothing was changed. Run it again with --apply.")
