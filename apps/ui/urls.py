"""Route the pages under `/accounts/`: ours, and those of allauth that are used."""

from allauth.account.urls import urlpatterns as account_patterns
from allauth.mfa.urls import urlpatterns as mfa_patterns
from django.urls import include, path
from django.views.i18n import set_language

from apps.ui.views import home, invitations, oauth, sessions

# An address is changed by an invitation to the new one; there is no other sign-up.
ACCOUNT_PAGES = {
    "account_login",
    "account_logout",
    "account_inactive",
    "account_signup",
    "account_reauthenticate",
    "account_change_password",
    "account_set_password",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "account_email_verification_sent",
    "account_confirm_email",
}

urlpatterns = [
    path("", home.home, name="account_home"),
    path("organisations/", home.organisations, name="account_organisations"),
    path("organisations/switch/", home.switch, name="account_switch"),
    path("language/", set_language, name="account_language"),
    path("sessions/", sessions.sessions, name="account_sessions"),
    path("sessions/end-others/", sessions.end_others, name="account_end_other_sessions"),
    path("sessions/<uuid:session_id>/end/", sessions.end, name="account_end_session"),
    path("invitations/<str:token>/", invitations.invitation, name="account_invitation"),
    path("applications/", oauth.applications, name="account_applications"),
    path(
        "applications/<uuid:consent_id>/revoke/",
        oauth.revoke_application,
        name="account_application_revoke",
    ),
    path("two-factor/", include(mfa_patterns)),
    *(pattern for pattern in account_patterns if pattern.name in ACCOUNT_PAGES),
]
