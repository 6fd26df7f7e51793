"""Serve the streams by ASGI, apart from the API: an open stream costs a socket, not a thread."""

import asyncio
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("BIOLAYER_PROCESS", "stream")

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries

from apps.api.http.framing import require_host_asgi
from apps.base.connections import close_ended_connections

settings.ROOT_URLCONF = "config.stream_urls"
settings.MIDDLEWARE = [
    "apps.api.http.middleware.RequestMiddleware",
    "apps.api.http.middleware.ThreadlessSecurityMiddleware",
    *(["apps.api.http.cors.CorsMiddleware"] if settings.CORS_ORIGINS else []),
]

_http = require_host_asgi(get_asgi_application())

# Its models need Django to be set up.
from apps.operations import heartbeat


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve requests; report this process from the server's start to its end."""
    if scope["type"] != "lifespan":
        await _http(scope, receive, send)
        return
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            heartbeat.start("stream")
            await send({"type": "lifespan.startup.complete"})
        else:
            await asyncio.to_thread(heartbeat.stop)
            await send({"type": "lifespan.shutdown.complete"})
            return


# Each reader returns its connection by itself. Django would start a thread to clean up connections
# at each request, and keep it for as long as the stream is open.
request_started.disconnect(reset_queries)
request_started.disconnect(close_old_connections)
request_started.disconnect(close_ended_connections)
request_finished.disconnect(close_old_connections)
