"""Configure the app."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Name the app."""

    name = "apps.portal"
    label = "portal"
