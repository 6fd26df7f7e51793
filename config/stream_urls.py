"""The addresses of the ASGI process: streams and its own health, nothing else."""

from django.urls import path

from apps.api.streams import stream
from config.urls import handler400, handler404, handler500, healthy

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    path("v1/events/stream", stream),
    path("healthz", healthy),
]
