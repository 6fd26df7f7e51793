"""The service's WSGI application, in the database `WEB_DATABASE`, that can be killed by a request.

A request with the header `X-Kill` is handled whole. Then, before any of its response is sent, the
process kills itself by `kill -9`.
"""

import os
import signal
from collections.abc import Iterable
from typing import Any

from django.db import connections

from config.wsgi import application as service

connections.databases["default"]["NAME"] = os.environ["WEB_DATABASE"]


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if "HTTP_X_KILL" not in environ:
        return service(environ, start_response)  # type: ignore[no-any-return]
    service(environ, lambda *_: lambda _: None)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("the process goes on")
