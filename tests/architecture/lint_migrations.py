"""Lint the migrations: report what breaks the previous version or locks a table for long.

Run by `make check`: `python3 -m tests.architecture.lint_migrations`. The linter reads the SQL of
the migrations, for which Django needs a database: a PostgreSQL is started for it.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

APPS = [
    "accounts",
    "api",
    "events",
    "matching",
    "pools",
    "sandbox",
    "tasks",
    "timers",
    "webhooks",
]

EXPLAINED = {
    # The first set of migrations has no previous version.
    "0001_initial",
    "0002_append_only",
    "0002_promises",
    "0002_tenancy",
    # A unique constraint that no row can violate, since it contains the primary key.
    "0004_deliveries_in_organisation",
    # It makes e-mail addresses unique. No earlier version wrote the table of people: it is empty.
    "0003_people",
    # Its unique constraints contain the primary key, so no row can break them; the tables of
    # members and of OAuth applications are small.
    "0008_oauth",
}


def main() -> int:
    home = Path(tempfile.mkdtemp(prefix="biolayer-lint-"))
    os.environ["BIOLAYER_HOME"] = str(home)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.pop("DATABASE_URL", None)

    from local import embedded

    embedded.start_postgres(home, durable=False)
    try:
        return _lint()
    finally:
        embedded.stop_postgres(home)
        shutil.rmtree(home, ignore_errors=True)


def _lint() -> int:
    import django

    django.setup()
    from django.conf import settings
    from django_migration_linter import MigrationLinter

    linter = MigrationLinter(
        path=str(settings.BASE_DIR),
        include_apps=APPS,
        ignore_name=EXPLAINED,
        no_cache=True,
        quiet=["ok", "ignore"],
    )
    linter.lint_all_migrations()
    if linter.has_errors:
        linter.print_summary()
    return int(linter.has_errors)


if __name__ == "__main__":
    sys.exit(main())
