"""Provide a worker who signs in with a browser."""

from dataclasses import dataclass
from html import unescape
from re import sub
from typing import Any

from django.test import Client

from apps.accounts.models import Member
from apps.accounts.scopes import Role
from apps.pools.models import Worker
from tests.factories import House, member_of
from tests.pages.steps import browser, sign_in, submit

EMAIL = "bob@northwind.example"


@dataclass
class Desk:
    """Hold a worker's browser, and who the worker is."""

    client: Client
    member: Member
    worker: Worker

    def get(self, path: str = "/portal/") -> Any:
        return self.client.get(path)

    def text(self, path: str = "/portal/") -> str:
        """Return a page's text without markup and doubled spaces."""
        answer = self.get(path)
        assert answer.status_code == 200, answer
        return " ".join(unescape(sub(r"<[^>]+>", " ", answer.content.decode())).split())

    def post(self, path: str, **fields: Any) -> Any:
        """Send a form with the token of the home page."""
        return submit(self.client, "/portal/", to=path, **fields)


def desk_of(house: House, worker: Worker | None = None, email: str = EMAIL) -> Desk:
    """Return the browser of a worker, by default Bob's, which is signed in."""
    worker = worker or house.bobs_worker
    member = member_of(house.organisation, email, role=Role.WORKER)
    Worker.objects.filter(id=worker.id).update(user_id=member.user_id)
    worker.refresh_from_db()
    client = browser()
    # An error is the test's, with its traceback.
    client.raise_request_exception = True
    assert sign_in(client, email)["Location"] == "/portal/"
    return Desk(client, member, worker)
