"""Route every URL of the API process."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from apps.api.http.health import live, ready
from apps.api.http.oauth import OAuthIntrospection, OAuthRevocation, OAuthToken
from apps.api.http.oauth_metadata import RESOURCES, authorization_server, protected_resource
from apps.ui.views.home import start
from apps.ui.views.oauth import Authorize

urlpatterns = [
    path("", start),
    path("portal", RedirectView.as_view(url="/portal/")),
    path("portal/", include("apps.portal.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("accounts", RedirectView.as_view(url="/accounts/")),
    path("accounts/", include("apps.ui.urls")),
    path("v1/", include("apps.api.v1.urls")),
    path("api/v1/", include("apps.api.team_workspace.urls")),
    path("api/", include("apps.api.operations.urls")),
    path("oauth/authorize", Authorize.as_view()),
    path("oauth/token", OAuthToken.as_view()),
    path("oauth/revoke", OAuthRevocation.as_view()),
    path("oauth/introspect", OAuthIntrospection.as_view()),
    path(".well-known/oauth-authorization-server", authorization_server),
    path(".well-known/oauth-protected-resource", protected_resource),
    *(
        path(f".well-known/oauth-protected-resource/{name}", protected_resource, {"name": name})
        for name in RESOURCES
    ),
    path("livez", live),
    path("readyz", ready),
    # The URL of version 0.1.
    path("healthz", live),
]
handler400 = "config.error_handlers.bad_request"
handler403 = "apps.ui.views.errors.forbidden"
handler404 = "config.error_handlers.not_found"
handler429 = "apps.ui.views.errors.too_many"
handler500 = "config.error_handlers.server_error"
