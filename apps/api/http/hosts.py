"""Which hosts are served: `ALLOWED_HOSTS`, for every request but those of a load balancer for health."""

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

from apps.api.http.problems import bare_problem

HEALTH_PATHS = frozenset(["/livez", "/readyz", "/healthz"])
"""Load balancers ask for these by address."""


def host_refusal(request: HttpRequest) -> HttpResponse | None:
    """Return the refusal of a request for a host that is not served; None where it is.

    HTTP/1.1 has every request name its host (RFC 9112, 3.2).
    """
    if request.path_info in HEALTH_PATHS:
        return None
    try:
        request.get_host()
    except DisallowedHost:
        return bare_problem(request, 400, "This host is not served here; see ALLOWED_HOSTS.")
    return None
