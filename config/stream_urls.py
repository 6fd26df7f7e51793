"""Route the URLs of the ASGI process: streams, long polls, and its own health."""

from django.urls import path

from apps.api.http.health import live, ready
from apps.api.streams.claims import claim_next
from apps.api.streams.tasks import task_stream
from apps.api.streams.views import consumer_events, events, stream
from apps.console.streams import console_stream
from apps.portal.streams import portal_stream
from config.urls import handler400, handler404, handler500

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    path("v1/events", events),
    path("v1/events/stream", stream),
    path("v1/event-consumers/<str:name>/events", consumer_events),
    path("api/agent/tasks/claim-next", claim_next),
    path("api/tasks/<str:task_id>/stream", task_stream),
    path("portal/stream", portal_stream),
    path("admin/stream", console_stream),
    path("livez", live),
    path("readyz", ready),
    path("healthz", live),
]
