"""Whether a process is alive, and whether it can do its work."""

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse

from apps.api.http.problems import bare_problem


def live(request: HttpRequest) -> HttpResponse:
    """`GET /livez`: this process answers. Restart it where it does not."""
    return HttpResponse("ok\n", content_type="text/plain")


def ready(request: HttpRequest) -> HttpResponse:
    """`GET /readyz`: PostgreSQL answers, and has every migration of this version. Otherwise 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        is_migrated = _migrations.are_applied()
    except Error:
        return _unready(request, "PostgreSQL does not answer.")
    if not is_migrated:
        return _unready(request, "Migrations are missing: run `manage.py migrate`.")
    return HttpResponse("ok\n", content_type="text/plain")


def _unready(request: HttpRequest, text: str) -> HttpResponse:
    response = bare_problem(request, 503, text)
    response["Retry-After"] = "1"
    return response


class _Migrations:
    """Reads the list of migrations until all of them were applied once: they are not taken back then."""

    def __init__(self) -> None:
        self._were_applied = False

    def are_applied(self) -> bool:
        if not self._were_applied:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            self._were_applied = not plan
        return self._were_applied


_migrations = _Migrations()
