"""The addresses of tasks, and the health check."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from bench.usual_way.views import TaskDetail, Tasks


def healthy(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n")


urlpatterns = [
    path("v1/tasks", Tasks.as_view()),
    path("v1/tasks/<uuid:pk>", TaskDetail.as_view()),
    path("healthz", healthy),
]
