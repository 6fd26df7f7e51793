"""Route the pages under `/portal/`."""

from django.urls import URLPattern, URLResolver, path

from apps.portal.views import (
    app,
    certifications,
    drafts,
    evidence,
    history,
    home,
    notices,
    offers,
    profile,
    questions,
    tasks,
)

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
    path("runs/<uuid:run_id>/", tasks.run, name="portal_run"),
    path("runs/<uuid:run_id>/start", tasks.start, name="portal_start"),
    path("runs/<uuid:run_id>/submit", tasks.submit, name="portal_submit"),
    path("runs/<uuid:run_id>/release", tasks.release, name="portal_release"),
    path("runs/<uuid:run_id>/draft", drafts.save, name="portal_draft"),
    path("runs/<uuid:run_id>/heartbeat", drafts.heartbeat, name="portal_heartbeat"),
    path("runs/<uuid:run_id>/state", drafts.state, name="portal_state"),
    path("runs/<uuid:run_id>/evidence", evidence.upload, name="portal_evidence"),
    path(
        "runs/<uuid:run_id>/evidence/<uuid:evidence_id>/remove",
        evidence.remove,
        name="portal_evidence_remove",
    ),
    path("runs/<uuid:run_id>/files/<uuid:file_id>", evidence.file, name="portal_file"),
    path("runs/<uuid:run_id>/questions", questions.questions, name="portal_questions"),
    path("history/", history.history, name="portal_history"),
]
