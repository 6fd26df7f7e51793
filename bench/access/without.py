"""Build the service's WSGI application without authentication or limits. For measurements only."""

import os
from collections.abc import Callable
from typing import Any

from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("BIOLAYER_PROCESS", "web")


def application_without(*parts: str) -> Callable[..., Any]:
    """Return the application without `limits`, or without `limits` and `authentication`."""
    classes: Any = settings.REST_FRAMEWORK
    if "limits" in parts:
        classes["DEFAULT_THROTTLE_CLASSES"] = []
    if "authentication" in parts:
        classes["DEFAULT_AUTHENTICATION_CLASSES"] = ["bench.access.once.AuthenticatedOnce"]
    # The views read the settings when they are loaded.
    from config.wsgi import application

    return application
