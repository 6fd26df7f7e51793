"""Serve the exports of lists: `/v1/tasks/export`, `/v1/workers/export`."""

from collections.abc import Iterator

from django.http import StreamingHttpResponse
from rest_framework.request import Request

from apps.accounts.scopes import Scope
from apps.api.http.operations import operation
from apps.api.http.views import View
from apps.api.v1.filters import (
    EXPORT_FORMAT,
    TASK_FILTERS,
    WORKER_FILTERS,
    task_export,
    worker_export,
)
from apps.base.exports import CONTENT_TYPES, ExportFormat
from apps.pools.services import export_workers
from apps.tasks.services import export_tasks
from biolayer.responses import exports as responses

NDJSON = CONTENT_TYPES[ExportFormat.NDJSON]
TASKS_CSV = "created_at,task_id,status,…\r\n…\r\nend,1234,true,…\r\n"
WORKERS_CSV = "worker_id,name,kind,…\r\n…\r\nend,12,true,…\r\n"


class TaskExport(View):
    @operation(
        "export_tasks",
        scope=Scope.TASKS_READ,
        summary="Export the tasks of a list, newest first, as CSV or one JSON document a line",
        returns={200: responses.ExportedTask},
        query=(EXPORT_FORMAT, *TASK_FILTERS),
        media_type=NDJSON,
        last_line=responses.ExportEnd,
        csv_example=TASKS_CSV,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        filters, file_format = task_export(request)
        lines = export_tasks(
            actor=self.actor(request), filters=filters, file_format=file_format, at=self.at(request)
        )
        return _file("tasks", file_format, lines)


class WorkerExport(View):
    @operation(
        "export_workers",
        scope=Scope.POOLS_READ,
        summary="Export the workers of a list, newest first, as CSV or one JSON document a line",
        returns={200: responses.ExportedWorker},
        query=(EXPORT_FORMAT, *WORKER_FILTERS),
        media_type=NDJSON,
        last_line=responses.ExportEnd,
        csv_example=WORKERS_CSV,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        filters, file_format = worker_export(request)
        lines = export_workers(
            actor=self.actor(request), filters=filters, file_format=file_format, at=self.at(request)
        )
        return _file("workers", file_format, lines)


def _file(name: str, file_format: ExportFormat, lines: Iterator[bytes]) -> StreamingHttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}.{file_format.value}"'}
    return StreamingHttpResponse(lines, content_type=CONTENT_TYPES[file_format], headers=headers)
