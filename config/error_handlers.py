"""Answer errors of Django itself: pages by a page, API paths by a problem."""

from django.http import HttpRequest, HttpResponse

from apps.api.http import problems
from apps.base.pages import is_page
from apps.ui.views import errors


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Serve as Django's handler400."""
    if is_page(request.path_info):
        return errors.bad_request(request, exception)
    return problems.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Serve as Django's handler404."""
    if is_page(request.path_info):
        return errors.not_found(request, exception)
    return problems.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Serve as Django's handler500."""
    if is_page(request.path_info):
        return errors.server_error(request)
    return problems.server_error(request)
