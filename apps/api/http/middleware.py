"""The outermost layer: each request gets an id, which every answer and error repeats."""

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
from apps.api.http.hosts import host_refusal
from apps.api.http.request_ids import HEADER, request_id_of


class RequestMiddleware:
    """For either kind of server: made for one only, it would cost an open stream a thread."""

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
        response = host_refusal(request) or self._get_response(request)
        _take_in(request)
        log_request(request, response, began)
        return _identified(response, request_id)

    async def _call_async(self, request: HttpRequest) -> HttpResponse:
        began, request_id = time.perf_counter(), request_id_of(request)
        _drop_slash(request)
        response = host_refusal(request) or await self._get_response(request)
        log_request(request, response, began)
        return _identified(response, request_id)


def _drop_slash(request: HttpRequest) -> None:
    """Take `/v1/tasks/` for `/v1/tasks`: many clients end an address with a slash."""
    if request.path_info.endswith("/") and request.path_info.count("/") > 1:
        request.path_info = request.path_info.rstrip("/")
        request.path = request.path.rstrip("/")


def _take_in(request: HttpRequest) -> None:
    """Read a body that nobody looked at: the server closes a connection that it was left on, and the client
    may lose the answer (a refusal) with it. What is too large is left there.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and 0 < int(length) <= settings.MAX_BODY_BYTES:
        with suppress(RequestDataTooBig, UnreadablePostError, RawPostDataException):
            request.body  # noqa: B018 - it is read by being looked at


def _identified(response: HttpResponse, request_id: str) -> HttpResponse:
    response[HEADER] = request_id
    if not response.streaming:
        response["Content-Length"] = str(len(response.content))
    return response


class ThreadlessSecurityMiddleware(SecurityMiddleware):
    """Django's, for the ASGI process: it waits for nothing, so it needs no thread for each request."""

    async def __acall__(self, request: HttpRequest) -> Any:
        refused: Any = self.process_request(request)
        if refused is not None:
            return refused
        answer: Any = self.get_response(request)
        return self.process_response(request, await answer)
