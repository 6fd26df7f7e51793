"""Run the code flow over HTTP: a server, a person's browser, and `authlib` as the client."""

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx
from authlib.integrations.requests_client import OAuth2Session
from django.core.wsgi import get_wsgi_application
from django.db import connection

from apps.accounts.models import Member, Organisation
from apps.accounts.scopes import Role
from tests.api.oauth_steps import CALLBACK, created, credentials_manager
from tests.factories import House
from tests.pages.steps import PASSWORD, person

VERIFIER = "a-verifier-of-the-client-that-has-enough-characters-48"
SCOPE = "tasks:read tasks:create"

# Shared: each new context would read the certificates again.
TLS = ssl.create_default_context()
# Machines that run tests may be busy.
PATIENCE_SECONDS = 60
HTTP = httpx.Client(verify=TLS, timeout=PATIENCE_SECONDS)


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Log nothing."""

    def handle(self) -> None:
        super().handle()
        connection.close()


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@contextmanager
def serving() -> Iterator[str]:
    """Serve the API and the pages, and yield the URL."""
    application = get_wsgi_application()
    with make_server("127.0.0.1", 0, application, Server, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Browser(httpx.Client):
    """Act as a person who is signed in. Redirects are not followed."""

    def sign_in(self, email: str) -> "Browser":
        fields = {"login": email, "password": PASSWORD}
        answer = self.send_form(self.get("/accounts/login/"), **fields)
        assert answer.status_code == 302, answer.text
        return self

    def send_form(self, page: httpx.Response, path: str = "", **fields: str) -> httpx.Response:
        """Send the form of a page with its token, to the page's own URL unless `path` is given."""
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert found, page.text
        form = {"csrfmiddlewaretoken": found.group(1), **fields}
        return self.post(path or str(page.url), data=form)

    def decide(self, url: str, decision: str = "allow") -> str:
        """Open a client's request, decide, and return where the browser is sent to."""
        page = self.get(url)
        assert page.status_code == 200, page.text
        answer = self.send_form(page, decision=decision)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]


def parameters(url: str) -> dict[str, str]:
    """Return the parameters of a URL, of which each occurs once."""
    found = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values()), found
    return {name: values[0] for name, values in found.items()}


@dataclass
class Flow:
    """Hold a server, a member who is signed in there, and the organisation's clients."""

    url: str
    house: House
    member: Member
    browser: Browser

    def client(self, **changes: Any) -> Any:
        """Create a client, and return authlib's with its credentials."""
        made = created(credentials_manager(self.house), **changes)
        return OAuth2Session(
            client_id=made["client_id"],
            client_secret=made.get("client_secret"),
            scope=" ".join(made["scopes"]),
            redirect_uri=(made["redirect_uris"] or [None])[0],
            code_challenge_method="S256",
            token_endpoint=f"{self.url}/oauth/token",
        )

    def request_url(self, client: Any, **changes: Any) -> str:
        """Return the URL at which the client asks the person; None leaves a parameter out."""
        url, _ = client.create_authorization_url(
            f"{self.url}/oauth/authorize", code_verifier=VERIFIER, state="the-state"
        )
        found = {**parameters(url), **changes}
        kept = {name: value for name, value in found.items() if value is not None}
        return str(httpx.URL(f"{self.url}/oauth/authorize", params=kept))

    def code(self, client: Any, **changes: Any) -> str:
        """Return the code that the person gives to the client."""
        location = self.browser.get(self.request_url(client, **changes))
        if location.status_code == 302:
            return parameters(location.headers["Location"])["code"]
        return parameters(self.browser.decide(self.request_url(client, **changes)))["code"]

    def exchange(self, client: Any, code: str, /, **changes: Any) -> Any:
        """Exchange a code as the client. Return the response as it is."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_uri,
            "code_verifier": VERIFIER,
            **changes,
        }
        return self.token_call(client, form)

    def refresh(self, client: Any, refresh_token: str, **changes: Any) -> Any:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **changes}
        return self.token_call(client, form)

    def token_call(self, client: Any, form: dict[str, Any]) -> Any:
        data = {name: value for name, value in form.items() if value is not None}
        if not client.client_secret:
            return HTTP.post(
                f"{self.url}/oauth/token", data={**data, "client_id": client.client_id}
            )
        pair = (client.client_id, client.client_secret)
        return HTTP.post(f"{self.url}/oauth/token", data=data, auth=pair)

    def tokens(self, client: Any, **changes: Any) -> dict[str, Any]:
        """Return the tokens of a new code."""
        answer = self.exchange(client, self.code(client, **changes))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def status(self, access_token: str, path: str = "/v1/tasks") -> int:
        """Return the status of a call with an access token."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return HTTP.get(f"{self.url}{path}", headers=headers).status_code


@contextmanager
def flowing(house: House, *, role: Role = Role.EDITOR) -> Iterator[Flow]:
    """Serve, with a member of the organisation who is signed in."""
    member = add_member(house.organisation, "mara@northwind.example", role)
    with serving() as url, Browser(base_url=url, verify=TLS, timeout=PATIENCE_SECONDS) as browser:
        yield Flow(url, house, member, browser.sign_in("mara@northwind.example"))


def add_member(organisation: Organisation, email: str, role: Role) -> Member:
    return Member.objects.create(organisation=organisation, user=person(email), role=role)


def error_of(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return str(answer.json()["error"])


def introspected(flow: Flow, client: Any, token: str) -> dict[str, Any]:
    """Return what the server says of a token to the client."""
    answer = client.introspect_token(f"{flow.url}/oauth/introspect", token=token)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


__all__ = [
    "CALLBACK",
    "HTTP",
    "SCOPE",
    "TLS",
    "VERIFIER",
    "Browser",
    "Flow",
    "add_member",
    "error_of",
    "flowing",
    "introspected",
    "parameters",
]
