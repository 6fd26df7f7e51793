"""Route the pages under `/accounts/`: ours, and those of allauth that are used."""

from allauth.account.urls import urlpatterns as account_patterns
from allauth.mfa.urls import urlpatterns as mfa_patterns
from django.urls import include, path

from apps.ui.views.home import home

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
    path("", home, name="account_home"),
    path("two-factor/", include(mfa_patterns)),
    *(pattern for pattern in account_patterns if pattern.name in ACCOUNT_PAGES),
]
