"""Check the URLs of callbacks and endpoints against this installation's settings."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings

from apps.webhooks import http_client
from apps.webhooks.http_client import UrlProblem
from biolayer.contract import dig
from biolayer.errors import Fault


def allows_loopback() -> bool:
    """Return whether receivers on this machine may be called: by embedded installations only."""
    return bool(settings.ALLOW_LOOPBACK_CALLBACKS)


def url_problem(url: str) -> UrlProblem | None:
    """Return why the URL can never be called; None when it may be tried."""
    return http_client.url_problem(url, allows_loopback=allows_loopback())


def url_faults(url: Any, pointer: str) -> Iterable[Fault]:
    """Return the faults of a document's URL at `pointer`; none if it is no text or empty."""
    if isinstance(url, str) and url:
        problem = url_problem(url)
        if problem is not None:
            yield Fault(pointer, problem.code, problem.detail)


def callback_faults(document: Any) -> Iterable[Fault]:
    """Return why a contract's callback could never be delivered; for `contract.parse_task`."""
    return url_faults(dig(document, "handoff", "callback_url"), "/handoff/callback_url")
