"""Refuse hosts that are not in `ALLOWED_HOSTS`, except for the health checks of load balancers."""

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

from apps.api.http.problems import bare_problem

# Load balancers request these by IP address.
HEALTH_PATHS = frozenset(["/livez", "/readyz", "/healthz"])


def host_problem(request: HttpRequest) -> HttpResponse | None:
    """Return the problem of a request for a host that is not served; None if it is served."""
    if request.path_info in HEALTH_PATHS:
        return None
    try:
        request.get_host()
    except DisallowedHost:
        return bare_problem(request, 400, "This host is not served here; see ALLOWED_HOSTS.")
    return None
