"""Make a worker's calls and read their effects, for the tests of its work."""

from io import BytesIO
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from apps.pools.models import Worker
from apps.tasks.models import Run, Task
from tests.factories import OUTPUT, Caller


def image(kind: str, size: tuple[int, int] = (1, 1), mode: str = "RGB", **options: Any) -> bytes:
    """Return an image of one colour in a format of Pillow's."""
    content = BytesIO()
    Image.new(mode, size).save(content, kind, **options)
    return content.getvalue()


PNG = image("PNG")
JPEG = image("JPEG")
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"


def act(caller: Caller, run: Run, verb: str, **body: Any) -> Any:
    return caller.post(f"/v1/runs/{run.id}/{verb}", {"epoch": run.epoch, **body})


def upload(caller: Caller, run: Run, content: bytes, name: str = "a.bin", **form: Any) -> Any:
    form = {"file": SimpleUploadedFile(name, content), "epoch": str(run.epoch), **form}
    headers = {"Authorization": f"Bearer {caller.key}"}
    return caller.client.post(f"/v1/runs/{run.id}/evidence", form, headers=headers)


def statuses(task_id: Any) -> tuple[str, str]:
    """Return the status of the task and of its newest run."""
    return (
        Task.objects.get(id=task_id).status,
        Run.objects.filter(task_id=task_id).latest("attempt").status,
    )


def load(worker: Worker) -> int:
    return Worker.objects.get(id=worker.id).load


def open_offers(caller: Caller) -> list[dict[str, Any]]:
    offers: list[dict[str, Any]] = caller.get("/v1/offers").json()["data"]
    return offers


VERBS: list[tuple[str, dict[str, Any]]] = [
    ("start", {}),
    ("heartbeat", {"lease_seconds": 60}),
    ("submit", {"output": OUTPUT}),
    ("submit", {"output": {"wrong": True}}),
    ("release", {"reason": "late"}),
]
"""Calls on a run, one of them with an invalid output."""
