"""The addresses of `/v1`. Ids are taken as any text: what is no UUID is a 404 of ours."""

from django.urls import path

from apps.api.v1 import (
    deliveries,
    document,
    events,
    recoveries,
    tasks,
    webhook_endpoints,
    webhook_keys,
    work,
)

urlpatterns = [
    path("tasks", tasks.Tasks.as_view()),
    path("tasks/<str:task_id>", tasks.Task.as_view()),
    path("tasks/<str:task_id>/cancel", tasks.TaskCancel.as_view()),
    path("tasks/<str:task_id>/events", tasks.TaskEvents.as_view()),
    path("events", events.Events.as_view()),
    path("event-consumers", events.Consumers.as_view()),
    path("event-consumers/<str:name>", events.Consumer.as_view()),
    path("event-consumers/<str:name>/events", events.ConsumerEvents.as_view()),
    path("event-consumers/<str:name>/ack", events.ConsumerAck.as_view()),
    path("offers", work.Offers.as_view()),
    path("offers/<str:offer_id>/accept", work.OfferAccept.as_view()),
    path("offers/<str:offer_id>/decline", work.OfferDecline.as_view()),
    path("runs", work.Runs.as_view()),
    path("runs/<str:run_id>", work.Run.as_view()),
    path("runs/<str:run_id>/start", work.RunStart.as_view()),
    path("runs/<str:run_id>/heartbeat", work.RunHeartbeat.as_view()),
    path("runs/<str:run_id>/submit", work.RunSubmit.as_view()),
    path("runs/<str:run_id>/release", work.RunRelease.as_view()),
    path("runs/<str:run_id>/evidence", work.RunEvidence.as_view()),
    path("workers/me", work.Me.as_view()),
    path("webhook-endpoints", webhook_endpoints.Endpoints.as_view()),
    path("webhook-endpoints/<str:endpoint_id>", webhook_endpoints.Endpoint.as_view()),
    path("webhook-endpoints/<str:endpoint_id>/test", webhook_endpoints.EndpointTest.as_view()),
    path("deliveries", deliveries.Deliveries.as_view()),
    path("deliveries/<str:delivery_id>", deliveries.Delivery.as_view()),
    path("deliveries/<str:delivery_id>/attempts", deliveries.DeliveryAttempts.as_view()),
    path("deliveries/<str:delivery_id>/resend", deliveries.DeliveryResend.as_view()),
    path("recoveries", recoveries.Recoveries.as_view()),
    path("recoveries/<str:recovery_id>", recoveries.Recovery.as_view()),
    path("webhook-keys", webhook_keys.WebhookKeys.as_view()),
    path("webhook-keys/rotate", webhook_keys.WebhookKeyRotate.as_view()),
    path("webhook-keys/<str:key_id>", webhook_keys.WebhookKey.as_view()),
    path(
        "organisations/<str:organisation_id>/webhook-jwks.json", webhook_keys.WebhookJwks.as_view()
    ),
    path("openapi.json", document.Document.as_view()),
]
