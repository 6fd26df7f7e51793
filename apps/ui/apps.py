"""Configure the app, and allauth's, whose middleware runs for pages only."""

from typing import Any

from allauth.account.apps import AccountConfig
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Error, register

NEEDED = (
    "apps.ui.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "allauth.account.middleware.AccountMiddleware",
)


class UiConfig(AppConfig):
    """Check that pages are protected."""

    name = "apps.ui"
    label = "ui"

    def ready(self) -> None:
        from apps.ui import sign_in_log  # noqa: PLC0415 - it needs the models

        register(check_page_middleware)
        sign_in_log.connect()


class SignInConfig(AccountConfig):
    """Replace allauth's own configuration: it requires its middleware for every path."""

    name = "allauth.account"

    def ready(self) -> None:
        from allauth.account import checks  # noqa: F401, PLC0415 - registers allauth's checks


def check_page_middleware(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Report each middleware that protects pages and is missing (`ui.E001`)."""
    return [
        Error(
            f"{name} is missing in PAGE_MIDDLEWARE.",
            hint="Add it: pages are not protected without it.",
            id="ui.E001",
        )
        for name in NEEDED
        if name not in settings.PAGE_MIDDLEWARE
    ]
