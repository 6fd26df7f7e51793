"""Route every URL of the API process."""

from django.urls import include, path

from apps.api.http.health import live, ready
from apps.api.http.oauth import ThrottledRevokeTokenView, ThrottledTokenView

urlpatterns = [
    path("v1/", include("apps.api.v1.urls")),
    path("oauth/token", ThrottledTokenView.as_view()),
    path("oauth/revoke", ThrottledRevokeTokenView.as_view()),
    path("livez", live),
    path("readyz", ready),
    # The URL of version 0.1.
    path("healthz", live),
]
handler400 = "apps.api.http.problems.bad_request"
handler404 = "apps.api.http.problems.not_found"
handler500 = "apps.api.http.problems.server_error"
