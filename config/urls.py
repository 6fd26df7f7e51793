"""Every address of the service."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from apps.api.http.oauth import GuardedRevokeTokenView, GuardedTokenView


def healthy(request: HttpRequest) -> HttpResponse:
    """Alive: this process answers. Whether the work gets done is for the metrics to say."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("v1/", include("apps.api.v1.urls")),
    path("oauth/token", GuardedTokenView.as_view()),
    path("oauth/revoke", GuardedRevokeTokenView.as_view()),
    path("healthz", healthy),
]
handler400 = "apps.api.http.problems.bad_request"
handler404 = "apps.api.http.problems.not_found"
handler500 = "apps.api.http.problems.server_error"
