"""Provide a worker who signs in to the portal, and what its pages send."""

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.scopes import Role
from apps.pools.models import Worker
from apps.tasks.models import Run
from tests.factories import House, member_of
from tests.pages.steps import browser, sign_in

BOB = "bob@northwind.example"


def portal(house: House, email: str = BOB, *, worker: Worker | None = None) -> "Portal":
    """Return a browser in which Bob, who is a member and a worker, is signed in."""
    member = member_of(house.organisation, email, role=Role.WORKER)
    worker = worker or house.bobs_worker
    Worker.objects.filter(id=worker.id).update(user=member.user)
    client = browser()
    sign_in(client, email)
    return Portal(client)


class Portal:
    """Send what the pages of the portal send."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get(self, path: str) -> Any:
        return self.client.get(f"/portal/{path}")

    def page(self, run: Run) -> Any:
        return self.get(f"runs/{run.id}/")

    def token(self, run: Run) -> str:
        return str(self.get(f"runs/{run.id}/state").json()["token"])

    def call(self, run: Run, name: str, **body: Any) -> Any:
        """Send JSON as the page's script does, with the run's epoch unless `body` has another."""
        return self.client.post(
            f"/portal/runs/{run.id}/{name}",
            json.dumps({"epoch": run.epoch, **body}),
            content_type="application/json",
            headers={"Accept": "application/json", "X-CSRFToken": self.token(run)},
        )

    def save(self, run: Run, form: dict[str, list[str]], revision: int = 0, **body: Any) -> Any:
        return self.call(run, "draft", revision=revision, form=form, **body)

    def post(self, run: Run, name: str, **fields: Any) -> Any:
        """Send a form without a script."""
        token = self.token(run)
        fields = {"csrfmiddlewaretoken": token, "epoch": run.epoch, **fields}
        return self.client.post(f"/portal/runs/{run.id}/{name}", fields)

    def upload(self, run: Run, name: str, content: bytes) -> Any:
        """Send a file as the page's script does."""
        form = {"epoch": run.epoch, "file": SimpleUploadedFile(name, content)}
        headers = {"Accept": "application/json", "X-CSRFToken": self.token(run)}
        return self.client.post(f"/portal/runs/{run.id}/evidence", form, headers=headers)


def refused(answer: Any) -> int | None:
    """Return the status by which a call of the page's script is refused; None where it is not."""
    assert answer.status_code == 200, answer.content
    status: int | None = answer.json().get("refused")
    return status
