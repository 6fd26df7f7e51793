"""Send a Content-Security-Policy with every page: no inline script or style, no eval.

The settings and attributes have the names of Django 6, which has this built in.
"""

from collections.abc import Callable, Mapping, Sequence

from django.conf import settings
from django.http import HttpRequest, HttpResponse

HEADER = "Content-Security-Policy"
# The attribute of a response that replaces the policy.
CONFIG = "_csp_config"
Directives = Mapping[str, Sequence[str]]


class ContentSecurityPolicyMiddleware:
    """Add the policy of `SECURE_CSP`, unless the response has directives of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if HEADER not in response:
            response[HEADER] = policy(getattr(response, CONFIG, settings.SECURE_CSP))
        return response


def policy(directives: Directives) -> str:
    """Return the header's value."""
    return "; ".join(" ".join([name, *values]) for name, values in directives.items() if values)


def override_csp(response: HttpResponse, **directives: Sequence[str]) -> HttpResponse:
    """Replace directives of one response, such as `form_action=["'self'", origin]`.

    Those that were replaced before stay.
    """
    named = {name.replace("_", "-"): values for name, values in directives.items()}
    present = response.__dict__.get(CONFIG, settings.SECURE_CSP)
    response.__dict__[CONFIG] = {**present, **named}
    return response
