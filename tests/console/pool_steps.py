"""Provide operators of pools and workers, who are signed in with a browser."""

from dataclasses import dataclass
from html import unescape
from re import sub
from typing import Any

from django.test import Client

from apps.accounts.models import AuditEvent, Member
from apps.accounts.scopes import Role
from tests.factories import House, member_of
from tests.pages.steps import browser, sign_in, submit


@dataclass
class Operator:
    """Hold an operator's browser."""

    client: Client
    member: Member

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def text(self, path: str) -> str:
        """Return a page's text without markup and doubled spaces."""
        return text_of(self.get(path))

    def post(self, path: str, *, page: str = "/admin/pools/pool/", **fields: Any) -> Any:
        """Send a form with the token of a page."""
        return submit(self.client, page, to=path, **fields)


def operator_of(house: House, role: Role, *, name: str = "mara") -> Operator:
    """Return a member of Alice's organisation with a role, signed in."""
    email = f"{name}-{role.value}@northwind.example"
    member = member_of(house.organisation, email, role=role)
    client = browser()
    # An error is the test's, with its traceback.
    client.raise_request_exception = True
    assert sign_in(client, email).status_code == 302
    return Operator(client, member)


def text_of(answer: Any) -> str:
    """Return the text of a page that was shown, without markup and doubled spaces."""
    assert answer.status_code == 200, answer
    shown = sub(r"<(script|style).*?</\1>", " ", answer.content.decode())
    return " ".join(unescape(sub(r"<[^>]+>", " ", shown)).split())


def actions() -> list[str]:
    """Return what the audit log has beside sign-ins, in order."""
    rows = AuditEvent.objects.exclude(action__startswith="session.").order_by("id")
    return list(rows.values_list("action", flat=True))


def fields_of(answer: Any) -> dict[str, Any]:
    """Return what a browser would send of the forms of a page."""
    sent: dict[str, Any] = {}
    for form in answer.context["forms"]:
        for field in form:
            value = field.value()
            if value is not None and value is not False:
                prepared = field.field.prepare_value(value)
                sent[field.html_name] = "on" if value is True else prepared
    for name in ("seen", "shown"):
        if answer.context.get(name):
            sent[name] = answer.context[name]
    for name in ("steps", "certifications"):
        if answer.context.get(name) is not None:
            sent[f"{name}-rows"] = len(answer.context[name].forms)
    return sent
