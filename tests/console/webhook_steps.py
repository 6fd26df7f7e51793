"""Provide members of an organisation who look at the webhooks of their console."""

from dataclasses import dataclass
from html import unescape
from re import sub
from typing import Any

from django.test import Client

from apps.accounts.models import Member
from apps.accounts.scopes import Role
from tests.factories import House, member_of
from tests.pages.steps import browser, sign_in, submit


@dataclass
class Operator:
    """Hold a member's browser, which is signed in."""

    client: Client
    member: Member

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def text(self, path: str) -> str:
        """Return the text of a page's content, without markup and doubled spaces."""
        return text_of(self.get(path))

    def post(self, path: str, *, status: int = 302, **fields: Any) -> Any:
        """Send a form with the token of the list of endpoints. Return the response."""
        answer = submit(self.client, "/admin/webhooks/destination/", to=path, **fields)
        assert answer.status_code == status, (answer.status_code, text_of(answer, status=None))
        return answer


def text_of(answer: Any, *, status: int | None = 200) -> str:
    """Return the text of a page's content."""
    if status is not None:
        assert answer.status_code == status, answer
    main = answer.content.decode().partition("<main")[2]
    return " ".join(unescape(sub(r"<[^>]+>", " ", main)).split())


def operator(house: House, role: Role = Role.EDITOR, *, email: str = "") -> Operator:
    """Return a member of Alice's organisation, signed in."""
    email = email or f"{role.value}@northwind.example"
    member = member_of(house.organisation, email, role=role)
    client = browser()
    client.raise_request_exception = True
    assert sign_in(client, email).status_code == 302
    return Operator(client, member)


def stranger(house: House) -> Operator:
    """Return an admin of another organisation, signed in."""
    email = "charlie@contoso.example"
    organisation = house.strangers_pool.organisation
    member = member_of(organisation, email, role=Role.ADMIN)
    client = browser()
    client.raise_request_exception = True
    assert sign_in(client, email).status_code == 302
    return Operator(client, member)
