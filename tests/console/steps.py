"""Provide members whose browsers are signed in to the console."""

from dataclasses import dataclass
from html import unescape
from re import sub
from typing import Any

from django.test import Client

from apps.accounts.models import AuditEvent, Member
from apps.accounts.scopes import Role
from tests.factories import House, member_of
from tests.pages.steps import browser


@dataclass
class Console:
    """Hold the browser of a member."""

    client: Client
    member: Member

    def get(self, path: str) -> Any:
        return self.client.get(f"/admin/{path}")

    def text(self, path: str) -> str:
        """Return a page's text without markup and doubled spaces."""
        answer = self.get(path)
        assert answer.status_code == 200, answer
        return words(answer)

    def post(self, path: str, **fields: Any) -> Any:
        """Send a form with the token of the account's page."""
        token = str(self.client.get("/accounts/").context["csrf_token"])
        return self.client.post(f"/admin/{path}", {"csrfmiddlewaretoken": token, **fields})


def console_of(house: House, role: Role = Role.ADMIN, email: str = "") -> Console:
    """Return the browser of a new member."""
    member = member_of(house.organisation, email or f"{role.value}@northwind.example", role=role)
    client = browser()
    client.force_login(member.user)
    client.raise_request_exception = True
    return Console(client, member)


def words(answer: Any) -> str:
    """Return the text of a response."""
    return " ".join(unescape(sub(r"<[^>]+>", " ", answer.content.decode())).split())


def recorded(house: House) -> list[tuple[str, str, Any]]:
    """Return action, kind of actor and facts of the audit log, oldest first, without sign-ins."""
    rows = AuditEvent.objects.filter(organisation=house.organisation).order_by("id")
    rows = rows.exclude(action="session.started")
    return [(row.action, row.actor_kind, row.data) for row in rows]
