"""Write the pages that are generated from the code: `manage.py document`."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.documents import DOCUMENTS


class Command(BaseCommand):
    """Write the pages whose text has changed."""

    help = "Write the generated pages under docs/."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="write nothing; fail if a page is stale"
        )

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        stale = [name for name, page in DOCUMENTS.items() if not _is_current(name, page())]
        if check and stale:
            raise CommandError(f"stale: {', '.join(stale)}; run `python3 manage.py document`")
        for name in stale:
            _path(name).parent.mkdir(exist_ok=True)
            _path(name).write_text(DOCUMENTS[name]())
            self.stdout.write(f"wrote {name}")


def _path(name: str) -> Path:
    return Path(settings.BASE_DIR) / name


def _is_current(name: str, text: str) -> bool:
    path = _path(name)
    return path.exists() and path.read_text() == text
