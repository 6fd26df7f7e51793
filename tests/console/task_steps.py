"""Provide operators who sign in to the console with a browser."""

from dataclasses import dataclass
from html import unescape
from re import sub
from typing import Any

from django.test import Client

from apps.accounts.models import AuditEvent, Member
from apps.accounts.scopes import Role
from tests.factories import House, member_of
from tests.pages.steps import browser, sign_in

LIST = "/admin/tasks/task/"


@dataclass
class Operator:
    """Hold an operator's browser, and who the operator is."""

    client: Client
    member: Member

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def text(self, path: str) -> str:
        """Return a page's text without markup and doubled spaces."""
        answer = self.get(path)
        assert answer.status_code == 200, answer
        return words(answer)

    def post(self, path: str, *, page: str = "/accounts/", **fields: Any) -> Any:
        """Send a form with the token of a page."""
        token = str(self.get(page).context["csrf_token"])
        return self.client.post(path, {"csrfmiddlewaretoken": token, **fields})


def words(answer: Any) -> str:
    """Return the text of an answer without markup and doubled spaces."""
    return " ".join(unescape(sub(r"<[^>]+>", " ", answer.content.decode())).split())


def operator(house: House, role: Role = Role.MANAGER) -> Operator:
    """Return the browser of a member with a role, which is signed in."""
    email = f"{role.value}@northwind.example"
    member = member_of(house.organisation, email, role=role)
    client = browser()
    # An error is the test's, with its traceback.
    client.raise_request_exception = True
    assert sign_in(client, email).status_code == 302
    return Operator(client, member)


def page_of(task: Any, name: str = "") -> str:
    return f"{LIST}{task.id}/{name}"


def audited(task: Any) -> list[tuple[str, str]]:
    """Return the actions on a task in the audit log, with the kind of who did them."""
    rows = AuditEvent.objects.filter(subject_id=str(task.id)).order_by("id")
    return [*rows.values_list("action", "actor_kind")]
