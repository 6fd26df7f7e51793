"""Send signed requests over HTTP/1.1. This package does not know Django, tables or events.

`Sender` is its entry point; `urls.url_problem` checks a URL before it is stored.
"""

from apps.webhooks.http_client.attempts import (
    INTERNAL_OUTCOMES,
    AttemptResult,
    Outcome,
    QueuedRequest,
    Request,
    Unreadable,
)
from apps.webhooks.http_client.sender import Sender
from apps.webhooks.http_client.urls import UrlProblem, url_problem

__all__ = [
    "INTERNAL_OUTCOMES",
    "AttemptResult",
    "Outcome",
    "QueuedRequest",
    "Request",
    "Sender",
    "Unreadable",
    "UrlProblem",
    "url_problem",
]
