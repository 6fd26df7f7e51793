"""One address, and the one that says that the process is up."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from bench.usual_way.views import TaskCreate


def healthy(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n")


urlpatterns = [path("v1/tasks", TaskCreate.as_view()), path("healthz", healthy)]
