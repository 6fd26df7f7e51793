"""Answer errors of Django itself: people by a page, programs by a problem document.

An address of a page is answered by a page, unless the caller asks for JSON. An address of an API is
answered by a problem, whatever the caller asks for; one of `/api` by an error of its form. Any
other address: as the caller asks.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.api.http import problems
from apps.api.operations import errors as operations
from apps.base.pages import is_page
from apps.ui.csp import HEADER, policy
from apps.ui.views import errors

APIS = ("/v1/", "/api/", "/oauth/", "/.well-known/", "/livez", "/readyz", "/healthz")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Serve as Django's handler400."""
    if _is_for_people(request):
        return _with_policy(errors.bad_request(request, exception))
    if _is_for_operators(request):
        return operations.bare("The request is malformed.", 400)
    return problems.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Serve as Django's handler404."""
    if _is_for_people(request):
        return _with_policy(errors.not_found(request, exception))
    if _is_for_operators(request):
        return operations.bare("There is nothing at this address.", 404)
    return problems.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Serve as Django's handler500."""
    if _is_for_people(request):
        return _with_policy(errors.server_error(request))
    if _is_for_operators(request):
        return operations.bare("Internal error. It was logged.", 500)
    return problems.server_error(request)


def _is_for_operators(request: HttpRequest) -> bool:
    """Return whether an address is below `/api`, and of no versioned API there."""
    path = f"{request.path_info}/"
    return path.startswith("/api/") and not path.startswith("/api/v1/")


def _is_for_people(request: HttpRequest) -> bool:
    path = request.path_info
    if is_page(path):
        return True
    names_html = "text/html" in request.headers.get("Accept", "")
    return names_html and not path.startswith(APIS)


def _with_policy(response: HttpResponse) -> HttpResponse:
    """Add the policy of pages: the middleware of pages has not seen every address."""
    response.headers.setdefault(HEADER, policy(settings.SECURE_CSP))
    return response
