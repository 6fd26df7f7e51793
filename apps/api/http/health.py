"""Report whether a process is alive, and whether it can serve requests."""

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse

from apps.api.http.problems import bare_problem


def live(request: HttpRequest) -> HttpResponse:
    """Serve `GET /livez`: 200 while this process responds. Restart it when it does not."""
    return HttpResponse("ok\n", content_type="text/plain")


def ready(request: HttpRequest) -> HttpResponse:
    """Serve `GET /readyz`: 503 unless PostgreSQL responds and has this version's migrations."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        is_migrated = _migrations.are_applied()
    except Error:
        return _unready(request, "PostgreSQL does not respond.")
    if not is_migrated:
        return _unready(request, "Migrations are missing: run `manage.py migrate`.")
    return HttpResponse("ok\n", content_type="text/plain")


def _unready(request: HttpRequest, detail: str) -> HttpResponse:
    response = bare_problem(request, 503, detail)
    response["Retry-After"] = "1"
    return response


class _Migrations:
    """Check the migrations until all are applied; they are not undone after that."""

    def __init__(self) -> None:
        self._are_applied = False

    def are_applied(self) -> bool:
        if not self._are_applied:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            self._are_applied = not plan
        return self._are_applied


_migrations = _Migrations()
