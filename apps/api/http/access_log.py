"""Log one line for each request: method, route, status, milliseconds, request id."""

import logging
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from apps.api.http.headers import header
from apps.api.http.hosts import HEALTH_PATHS
from apps.api.http.request_ids import request_id_of

logger = logging.getLogger("apps.access")

# The workers of `make run` poll for offers all the time, which is logged at DEBUG only.
DEMO_AGENT = "BioLayer-Demo"


def log_request(request: HttpRequest, response: HttpResponseBase, began: float) -> None:
    """Log a request that began at `began` (`time.perf_counter()`), by its route, without ids."""
    route = request.resolver_match.route if request.resolver_match else ""
    status, milliseconds = response.status_code, (time.perf_counter() - began) * 1000
    level = logging.DEBUG if status < 400 and _is_routine(request) else logging.INFO
    if not logger.isEnabledFor(level):
        return
    if route:
        path = "/" + route
    elif request.path_info.startswith(settings.STATIC_URL):
        path = settings.STATIC_URL
    else:
        path = "(no route)"
    request_id = request_id_of(request)
    fields = {
        "method": request.method,
        "route": path,
        "status": status,
        "ms": round(milliseconds, 1),
        "request_id": request_id,
    }
    message = f"{request.method} {path} {status} {milliseconds:.1f} ms {request_id}"
    # As `logger.log`, without its search of the stack for the line that called it.
    record = logger.makeRecord(logger.name, level, __file__, 0, message, (), None, extra=fields)
    logger.handle(record)


def _is_routine(request: HttpRequest) -> bool:
    if request.path_info in HEALTH_PATHS:
        return True
    return request.method == "GET" and header(request, "User-Agent") == DEMO_AGENT
