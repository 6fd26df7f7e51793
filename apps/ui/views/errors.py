"""Serve the pages of errors."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

PROBLEM = "application/problem+json"
# The codes of problems, which are those of the API.
CODES = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    413: "too_large",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}
# Where a page leads back to, by what its address begins with.
BACK = {
    "/portal/": ("portal_home", gettext_lazy("To your work")),
    "/admin/": ("admin:board", gettext_lazy("To the board")),
}


def error_page(
    request: HttpRequest, status: int, title: str, text: str, **context: Any
) -> HttpResponse:
    """Return a page that says what went wrong. It reads no session and no database.

    A program that asks for JSON gets a problem document (RFC 9457).
    """
    if not request.accepts("text/html") and any(
        map(request.accepts, ("application/json", PROBLEM))
    ):
        code = CODES[status]
        body = {"type": f"urn:biolayer:problem:{code}", "title": title, "status": status}
        return JsonResponse(
            {**body, "detail": text, "code": code}, status=status, content_type=PROBLEM
        )
    for prefix, (name, words) in BACK.items():
        if request.path.startswith(prefix):
            context = {"back": reverse(name), "back_text": words, **context}
    values = {"title": title, "text": text, "status": status, **context}
    return HttpResponse(render_to_string("ui/error.html", values), status=status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Serve as Django's `CSRF_FAILURE_VIEW`."""
    return error_page(
        request,
        403,
        _("This form has expired"),
        _("Nothing was changed. Go back, load the page again, and send the form once more."),
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 400, _("Bad request"), _("The request cannot be understood."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 403, _("Not allowed"), _("You are not allowed to see this page."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 404, _("Page not found"), _("There is no page at this address."))


def server_error(request: HttpRequest) -> HttpResponse:
    return error_page(
        request,
        500,
        _("Something went wrong on our side"),
        _("The error was logged. Nothing was changed."),
    )


def address_not_allowed(request: HttpRequest, address: str) -> HttpResponse:
    text = _(
        "The organisation does not allow the address %(address)s. Use an allowed network, or choose"
        " another organisation."
    )
    return error_page(
        request,
        403,
        _("This network is not allowed"),
        text % {"address": address},
        back=reverse("account_organisations"),
        back_text=_("Choose an organisation"),
    )


def unavailable(request: HttpRequest) -> HttpResponse:
    response = error_page(
        request,
        503,
        _("The service is not available at the moment"),
        _("Nothing was changed. Try again in a minute."),
    )
    response["Retry-After"] = "5"
    return response


def too_large(request: HttpRequest) -> HttpResponse:
    return error_page(
        request, 413, _("Too much data"), _("The form is larger than this page accepts.")
    )


def too_many(request: HttpRequest) -> HttpResponse:
    """Serve as allauth's handler429."""
    response = error_page(
        request,
        429,
        _("Too many attempts"),
        _("Wait five minutes, then try again. A passkey still signs you in."),
    )
    response["Retry-After"] = "300"
    return response


def file_not_found(request: HttpRequest) -> HttpResponse:
    return HttpResponse("not found\n", status=404, content_type="text/plain")
