"""Configure the app, and Django's admin, whose site is the console."""

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class ConsoleConfig(AppConfig):
    """Name the app."""

    name = "apps.console"
    label = "console"


class AdminConfig(SimpleAdminConfig):
    """Use the console as the admin's site.

    `admin.py` of our apps registers models there; those of other packages stay out: see `site.py`.
    """

    default_site = "apps.console.site.ConsoleSite"
