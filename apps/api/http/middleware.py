"""Give each request an id, check its host, and log it."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, RawPostDataException, UnreadablePostError
from django.middleware.security import SecurityMiddleware

from apps.api.http.access_log import log_request
from apps.api.http.hosts import host_problem
from apps.api.http.request_ids import HEADER, request_id_of
from apps.base.pages import is_page
from biolayer.headers import SANDBOX_HEADER


class RequestMiddleware:
    """Run for WSGI and ASGI: for WSGI only, it would block a thread for each open stream."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._call_async(request)
        began, request_id = time.perf_counter(), request_id_of(request)
        _drop_slash(request)
        response = host_problem(request) or self._get_response(request)
        _read_body(request)
        log_request(request, response, began)
        return _with_headers(request, response, request_id)

    async def _call_async(self, request: HttpRequest) -> HttpResponse:
        began, request_id = time.perf_counter(), request_id_of(request)
        _drop_slash(request)
        response = host_problem(request) or await self._get_response(request)
        log_request(request, response, began)
        return _with_headers(request, response, request_id)


def _drop_slash(request: HttpRequest) -> None:
    """Change `/v1/tasks/` to `/v1/tasks`: many clients end a path with a slash. Pages keep it."""
    if is_page(request.path_info):
        return
    if request.path_info.endswith("/") and request.path_info.count("/") > 1:
        request.path_info = request.path_info.rstrip("/")
        request.path = request.path.rstrip("/")


def _read_body(request: HttpRequest) -> None:
    """Read a body that no view has read, unless it is too large.

    The server closes a connection with an unread body, and the client may then lose the response
    (a refusal).
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and 0 < int(length) <= settings.MAX_BODY_BYTES:
        with suppress(RequestDataTooBig, UnreadablePostError, RawPostDataException):
            request.body  # noqa: B018 - the property reads it


def _with_headers(request: HttpRequest, response: HttpResponse, request_id: str) -> HttpResponse:
    response[HEADER] = request_id
    if getattr(request, "biolayer_sandbox", False):  # set when a test key was accepted
        response[SANDBOX_HEADER] = "true"
    if not response.has_header("Cache-Control"):
        # Most pages and responses have what only the caller may see: no cache stores them.
        response["Cache-Control"] = "no-store"
    if not response.streaming:
        response["Content-Length"] = str(len(response.content))
    return response


class ThreadlessSecurityMiddleware(SecurityMiddleware):
    """Run Django's middleware in the ASGI process without a thread for each request."""

    async def __acall__(self, request: HttpRequest) -> Any:
        redirect: Any = self.process_request(request)
        if redirect is not None:
            return redirect
        response: Any = self.get_response(request)
        return self.process_response(request, await response)
