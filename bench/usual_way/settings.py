"""Configure a lean DRF project, on a database of its own in the same PostgreSQL."""

import os
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from config import embedded

DATABASE = "bench_usual"

_server = conninfo_to_dict(embedded.database_url(Path(os.environ["BIOLAYER_HOME"])))

SECRET_KEY = "only for the bench, which listens on loopback"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "bench.usual_way",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "bench.usual_way.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": _server["user"],
        "HOST": _server["host"],
        "PORT": _server["port"],
        "CONN_MAX_AGE": None,  # one connection for each thread, kept
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["bench.usual_way.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
