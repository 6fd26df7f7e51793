"""Route the URLs of `/api`. Ids are any text here, so that an invalid one is a 404."""

from django.urls import path

from apps.api.operations import agent_tasks, document, sessions

urlpatterns = [
    path("agent/sessions", sessions.Sessions.as_view()),
    path("agent/sessions/<str:session_id>", sessions.Session.as_view()),
    path("agent/sessions/<str:session_id>/stop", sessions.SessionStop.as_view()),
    path("agent/tasks/claim-next", agent_tasks.AgentClaimNext.as_view()),
    path("agent/tasks/<str:run_id>/heartbeat", agent_tasks.AgentHeartbeat.as_view()),
    path("agent/tasks/<str:run_id>/complete", agent_tasks.AgentComplete.as_view()),
    path("agent/tasks/<str:run_id>/fail", agent_tasks.AgentFail.as_view()),
    path("agent/tasks/<str:run_id>/release", agent_tasks.AgentRelease.as_view()),
    path("openapi.json", document.Document.as_view()),
]
