"""Provide people who have an account, and browsers that sign in."""

from typing import Any

from allauth.account.models import EmailAddress
from django.test import Client

from apps.accounts.models import User

PASSWORD = "correct-horse-battery-9"


def person(email: str = "mara@northwind.example", *, name: str = "Mara Lindqvist") -> User:
    """Return a person with a verified address, who signs in by `PASSWORD`."""
    user = User.objects.create_user(email, PASSWORD, name=name)
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    return user


def browser(**headers: str) -> Client:
    """Return a browser, which sends and checks CSRF tokens."""
    return Client(enforce_csrf_checks=True, raise_request_exception=False, headers={**headers})


def submit(client: Client, path: str, **fields: Any) -> Any:
    """Load a page, and send its form with the CSRF token that it has."""
    page = client.get("/accounts/login/" if path == "/accounts/signup/" else path)
    token = page.context["csrf_token"] if page.context else ""
    return client.post(path, {"csrfmiddlewaretoken": str(token), **fields})


def sign_in(client: Client, email: str = "mara@northwind.example", password: str = PASSWORD) -> Any:
    """Return the response of the sign-in form."""
    return submit(client, "/accounts/login/", login=email, password=password)
