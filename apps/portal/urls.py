"""Route the pages under `/portal/`."""

from django.urls import URLPattern, URLResolver, path

from apps.portal.views import app, certifications, home, notices, offers, profile

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
    path("profile/", profile.profile, name="portal_profile"),
    path("profile/language/", profile.language, name="portal_language"),
    path("profile/hours/", profile.hours, name="portal_hours"),
    path("profile/certifications/", certifications.certifications, name="portal_certifications"),
    path(
        "profile/certifications/<uuid:claim_id>/remove/",
        certifications.withdraw,
        name="portal_withdraw_claim",
    ),
    path("profile/notices/", notices.settings, name="portal_notices"),
    path("profile/notices/test/", notices.test, name="portal_test_notice"),
    path("profile/notices/devices/", notices.add_device, name="portal_add_device"),
    path(
        "profile/notices/devices/<uuid:device_id>/remove/",
        notices.remove_device,
        name="portal_remove_device",
    ),
    path("notices/stop/<str:token>/", notices.stop, name="portal_stop_notices"),
    path("seen/", notices.seen, name="portal_seen"),
]
