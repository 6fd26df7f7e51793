"""Make a person a superuser of the installation, or an ordinary one: `set_superuser E-MAIL`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.selectors import has_second_factor
from apps.accounts.services import make_superuser, remove_superuser
from apps.base import clock
from biolayer.errors import NotFound
from config.management.commands.create_organisation import ask_password


class Command(BaseCommand):
    """Decide who sees which organisations exist, and may read one with a reason."""

    help = "Make a person (a new one: asks for a password) a superuser; --remove undoes it at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", metavar="E-MAIL")
        parser.add_argument("--remove", action="store_true", help="make them an ordinary person")

    def handle(self, *args: Any, email: str, remove: bool, **options: Any) -> None:
        try:
            if remove:
                remove_superuser(email=email, at=clock.now())
                self.stdout.write(f"{email} is no superuser; their accesses have ended.")
                return
            user = self._make(email)
        except NotFound:
            raise CommandError(f"no one has the address {email}") from None
        self.stdout.write(f"{email} is a superuser: /admin/organisations/")
        if not has_second_factor(user.pk):
            self.stdout.write("They need a second factor first: /accounts/two-factor/")

    def _make(self, email: str) -> Any:
        """Ask for a password only where the person is new."""
        try:
            return make_superuser(email=email, password=None)
        except NotFound:
            password = ask_password(email)
            if password is None:
                raise
            return make_superuser(email=email, password=password)
