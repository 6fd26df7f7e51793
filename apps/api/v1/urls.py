"""The addresses of `/v1`. Ids are taken as any text: what is no UUID is a 404 of ours."""

from django.urls import path

from apps.api.v1 import tasks, work

urlpatterns = [
    path("tasks", tasks.Tasks.as_view()),
    path("tasks/<str:task_id>", tasks.Task.as_view()),
    path("tasks/<str:task_id>/cancel", tasks.TaskCancel.as_view()),
    path("tasks/<str:task_id>/events", tasks.TaskEvents.as_view()),
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
]
