"""Route the pages under `/portal/`."""

from django.urls import URLPattern, URLResolver, path

from apps.portal.views import app, home, offers

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="portal_home"),
    path("fragments/home", home.fragment, name="portal_home_fragment"),
    path("presence/", home.presence, name="portal_presence"),
    path("offers/<uuid:offer_id>/", offers.offer, name="portal_offer"),
    path("offers/<uuid:offer_id>/accept/", offers.accept, name="portal_accept"),
    path("offers/<uuid:offer_id>/decline/", offers.decline, name="portal_decline"),
    path("manifest.webmanifest", app.manifest, name="portal_manifest"),
    path("sw.js", app.service_worker, name="portal_service_worker"),
    path("offline/", app.offline, name="portal_offline"),
]
