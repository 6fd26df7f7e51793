"""Provide people who have an account, and browsers that sign in."""

from typing import Any

from django.test import Client

from apps.accounts.models import User
from tests import factories
from tests.factories import PASSWORD

MARA = "mara@northwind.example"


def person(email: str = MARA) -> User:
    """Return a person who signs in by `PASSWORD`."""
    return factories.person(email)


def browser(**headers: str) -> Client:
    """Return a browser, which sends and checks CSRF tokens."""
    return Client(enforce_csrf_checks=True, raise_request_exception=False, headers={**headers})


def submit(client: Client, path: str, *, to: str | None = None, **fields: Any) -> Any:
    """Load a page, and send a form with the CSRF token that it has, to itself unless `to` says."""
    page = client.get("/accounts/login/" if path == "/accounts/signup/" else path)
    token = page.context["csrf_token"] if page.context else ""
    return client.post(to or path, {"csrfmiddlewaretoken": str(token), **fields})


def sign_in(client: Client, email: str = "mara@northwind.example", password: str = PASSWORD) -> Any:
    """Return the response of the sign-in form."""
    return submit(client, "/accounts/login/", login=email, password=password)
