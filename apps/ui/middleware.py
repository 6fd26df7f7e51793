"""Run what pages need, for pages only: files, sessions, CSRF, sign-in, the organisation.

The paths of the API get none of it: `PageMiddleware` compares the path, and passes them on.
"""

import os
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import middleware as authentication
from django.contrib.sessions import middleware as sessions
from django.core.handlers.exception import convert_exception_to_response
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve
from django.utils import translation
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string
from whitenoise.middleware import WhiteNoiseMiddleware

from apps.accounts.selectors import check_member
from apps.accounts.sessions import MAX_USER_AGENT
from apps.base.addresses import client_address
from apps.base.outages import outage
from apps.base.pages import body_limit, is_page
from apps.base.transactions import is_unreachable
from apps.ui.sessions import current_member, signed_in_person
from apps.ui.views.errors import (
    address_not_allowed,
    file_not_found,
    too_large,
    unavailable,
)
from biolayer.errors import AddressNotAllowed, SecondFactorRequired

# Pages that a member reaches whatever the organisation requires: to leave, or to choose another.
ALWAYS_OPEN = {
    "account_logout",
    "account_login",
    "account_organisations",
    "account_switch",
    "account_invitation",
}
# Pages that a member without a second factor reaches where one is required.
ADDS_FACTOR = {
    "mfa_index",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_list_webauthn",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
    "mfa_download_recovery_codes",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "account_reauthenticate",
}

GetResponse = Callable[[HttpRequest], HttpResponse]


class PageMiddleware:
    """Run `PAGE_MIDDLEWARE` for pages."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        handler: Any = get_response
        self._layers: list[Any] = []
        for name in reversed(settings.PAGE_MIDDLEWARE):
            layer = import_string(name)(handler)
            self._layers.insert(0, layer)
            handler = convert_exception_to_response(layer)
        self._serve_page: GetResponse = handler

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_page(request.path_info):
            return self._get_response(request)
        try:
            return self._serve_page(request)
        finally:
            # The thread may serve the API next, which is in English.
            translation.deactivate()

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if not is_page(request.path_info):
            return None
        for layer in self._layers:
            process = getattr(layer, "process_view", None)
            response: HttpResponse | None = process and process(request, view, args, kwargs)
            if response is not None:
                return response
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not is_page(request.path_info):
            return None
        for layer in reversed(self._layers):
            process = getattr(layer, "process_exception", None)
            response: HttpResponse | None = process and process(request, error)
            if response is not None:
                return response
        return _unavailable(request, error)


def _unavailable(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """Return the page for an unavailable database; None for another error."""
    if not isinstance(error, OperationalError | InterfaceError):
        return None
    if is_unreachable(error):
        outage.report(error)
    return unavailable(request)


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """Serve static files: those of `collectstatic`, or those of the packages without it."""

    def __call__(self, request: HttpRequest) -> HttpResponse:  # type: ignore[override]
        if not request.path_info.startswith(settings.STATIC_URL):
            response: HttpResponse = self.get_response(request)
            return response
        static_file = self.files.get(request.path_info)
        if static_file is None:
            return file_not_found(request)
        # A compressed copy has a weak tag, and this compares weakly (RFC 9110, 13.1.2).
        if "HTTP_IF_NONE_MATCH" in request.META:
            request.META["HTTP_IF_NONE_MATCH"] = request.META["HTTP_IF_NONE_MATCH"].removeprefix(
                "W/"
            )
        served: HttpResponse = self.serve(static_file, request)  # type: ignore[no-untyped-call]
        return served

    def add_files(self, root: Any, prefix: str | None = None) -> None:
        if os.path.isdir(root):
            super().add_files(root, prefix)  # type: ignore[no-untyped-call]


class SessionMiddleware(sessions.SessionMiddleware):
    """Open the session, and let it know which browser it is. Refuse bodies that are too large."""

    def process_request(  # type: ignore[override]
        self, request: HttpRequest
    ) -> HttpResponse | None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > body_limit(request.path_info):
            return too_large(request)
        super().process_request(request)
        user_agent = request.META.get("HTTP_USER_AGENT", "")[:MAX_USER_AGENT]
        request.session.client = (  # type: ignore[attr-defined]
            str(client_address(request) or ""),
            user_agent.replace("\0", ""),
        )
        return None

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if not hasattr(request, "session"):
            return response
        return super().process_response(request, response)


class AuthenticationMiddleware(authentication.AuthenticationMiddleware):
    """Know who is signed in by the row of the session."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        user: Any = SimpleLazyObject(lambda: signed_in_person(request))
        request.user = user


class MemberMiddleware:
    """Find the member, and hold the session to what the organisation requires.

    What a request changes is one transaction: all of its effects, or none. A view with Django's
    `transaction.non_atomic_requests` is left out: each of its services is a transaction.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in {"GET", "HEAD"} or not request.user.is_authenticated:
            return self._get_response(request)
        if _has_own_transactions(request):
            return self._get_response(request)
        with transaction.atomic():
            response = self._get_response(request)
            if response.status_code >= 500:
                transaction.set_rollback(True)
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if not request.user.is_authenticated:
            return None
        member = current_member(request)
        request.member = member  # type: ignore[attr-defined]
        page = request.resolver_match and request.resolver_match.url_name
        if member is None or page in ALWAYS_OPEN:
            return None
        try:
            check_member(member, client_address(request))
        except SecondFactorRequired:
            if page in ADDS_FACTOR:
                return None
            return redirect("mfa_index")
        except AddressNotAllowed as error:
            return address_not_allowed(request, error.address)
        return None


def _has_own_transactions(request: HttpRequest) -> bool:
    """Return whether the view is decorated with `transaction.non_atomic_requests`."""
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        return False
    return bool(getattr(view, "_non_atomic_requests", ()))
