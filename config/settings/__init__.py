"""Define Django's settings from the environment (see environment.py for the variables).

Without `DATABASE_URL` this is an embedded installation: its PostgreSQL, its Redis (unless
`REDIS_URL` is set) and its secrets are under `BIOLAYER_HOME`.
"""

from importlib.util import find_spec
from pathlib import Path

from config import embedded
from config.logs import logging_settings
from config.settings.database import database
from config.settings.environment import read
from config.settings.secrets import secrets_for

ENV = read()
BASE_DIR = Path(__file__).resolve().parents[2]
BIOLAYER_HOME = ENV.BIOLAYER_HOME.expanduser().absolute()
EMBEDDED = ENV.DATABASE_URL is None
PORT = ENV.PORT

SECRET_KEY, ENCRYPTION_KEYS = secrets_for(ENV, home=BIOLAYER_HOME)
DEBUG = False
ALLOWED_HOSTS = ENV.ALLOWED_HOSTS or ["*"]

# Callbacks over plain http and to this machine are for trying the product only.
ALLOW_LOOPBACK_CALLBACKS = EMBEDDED
# The DNS servers for receivers' names; empty: those of the system.
NAMESERVERS = ENV.BIOLAYER_NAMESERVERS
MAX_BODY_BYTES = ENV.BIOLAYER_MAX_BODY_BYTES
RATE_LIMIT_PER_MINUTE = ENV.BIOLAYER_RATE_LIMIT
TRUSTED_PROXIES = ENV.BIOLAYER_TRUSTED_PROXIES

DATABASES = {
    "default": database(
        ENV.DATABASE_URL or embedded.database_url(BIOLAYER_HOME),
        kind=ENV.BIOLAYER_PROCESS,
        is_pooled=ENV.BIOLAYER_PGBOUNCER,
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = ENV.REDIS_URL or embedded.redis_url(BIOLAYER_HOME)
# Redis only wakes and throttles: no request waits for it longer, then it continues without.
REDIS_TIMEOUT_SECONDS = 0.2

CELERY_BROKER_URL = ENV.REDIS_URL or embedded.broker_url(BIOLAYER_HOME)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": REDIS_TIMEOUT_SECONDS,
    "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
    "max_retries": 0,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_ENABLE_UTC = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "oauth2_provider",
    "rest_framework",
    "apps.accounts",
    "apps.events",
    "apps.timers",
    "apps.pools",
    "apps.tasks",
    "apps.matching",
    "apps.reviews",
    "apps.webhooks",
    "apps.api",
    "config.apps.Config",
    # What runs everything on one machine. The Docker image leaves it out.
    *(["local"] if find_spec("local") else []),
]
MIDDLEWARE = [
    "apps.api.http.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "apps.api.http.problems.UnavailableMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False

# The first is for people's passwords, the second for OAuth 2.0 clients only.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "apps.accounts.hashers.KeyedHasher",
]
AUTH_USER_MODEL = "accounts.User"
OAUTH2_PROVIDER_APPLICATION_MODEL = "accounts.OAuthApplication"
OAUTH2_PROVIDER = {
    "SCOPES": {
        "tasks:read": "Read tasks",
        "tasks:create": "Create tasks",
        "tasks:cancel": "Cancel tasks",
        "webhooks:read": "Read webhook endpoints and deliveries",
        "webhooks:manage": "Manage webhook endpoints and keys, send deliveries again",
        "pools:read": "Read pools, their members, workers and skills",
        "pools:manage": "Manage pools and workers",
        "evidence:read": "Read the evidence of verified outputs",
        "evidence:unverified": "Read evidence before its output is verified",
        "organisation:read": "Read the organisation's settings, members and invitations",
        "organisation:manage": "Manage the organisation's settings, members and invitations",
        "credentials:read": "Read API keys and OAuth applications, without their secrets",
        "credentials:manage": "Manage API keys and OAuth applications",
        "audit:read": "Read and export the audit log",
    },
    "DEFAULT_SCOPES": ["tasks:read"],
    "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
    "CLIENT_SECRET_HASHER": "keyed",
    "PKCE_REQUIRED": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    # RFC 9700: no implicit and password grants, hashed tokens, and its other rules.
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.api.http.authentication.BearerAuthentication"],
    # No call is anonymous: authentication raises by itself, and services check the scopes.
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_THROTTLE_CLASSES": ["apps.api.http.throttling.KeyThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["apps.api.http.rendering.FastJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.api.http.parsing.FastJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "apps.api.http.rendering.AlwaysJSON",
    "UNAUTHENTICATED_USER": None,
}

DATA_UPLOAD_MAX_MEMORY_SIZE = None  # The parsers have bounds of their own.
MEDIA_ROOT = BIOLAYER_HOME / "files"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en"

LOGGING = logging_settings(level=ENV.LOG_LEVEL, as_json=not EMBEDDED)
