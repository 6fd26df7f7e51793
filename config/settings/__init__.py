"""Define Django's settings from the environment (see environment.py for the variables).

Without `DATABASE_URL` this is an embedded installation: its PostgreSQL, its Redis (unless
`REDIS_URL` is set) and its secrets are under `BIOLAYER_HOME`.
"""

import gc
from importlib.util import find_spec
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from config import embedded
from config.logs import logging_settings
from config.settings.database import database
from config.settings.email import parse_email_url
from config.settings.environment import read
from config.settings.secrets import secrets_for
from config.settings.storage import storages

# Until config/apps.py has connected the apps: to look for garbage among what is being loaded takes
# a fifth of the start of each process.
gc.disable()

ENV = read()
BASE_DIR = Path(__file__).resolve().parents[2]
BIOLAYER_HOME = ENV.BIOLAYER_HOME.expanduser().absolute()
EMBEDDED = ENV.DATABASE_URL is None
PORT = ENV.PORT
# Where pages find the stream; None: on their own origin, as behind a proxy.
STREAM_PORT = (ENV.STREAM_PORT or PORT + 1) if EMBEDDED else None

SECRET_KEY, ENCRYPTION_KEYS = secrets_for(ENV, home=BIOLAYER_HOME)
DEBUG = False
ALLOWED_HOSTS = ENV.ALLOWED_HOSTS or ["*"]

# Callbacks over plain http and to this machine are for trying the product only.
ALLOW_LOOPBACK_CALLBACKS = EMBEDDED
# The DNS servers for receivers' names; empty: those of the system.
NAMESERVERS = ENV.BIOLAYER_NAMESERVERS
MAX_BODY_BYTES = ENV.BIOLAYER_MAX_BODY_BYTES
# What execution profiles may say.
PROFILE_MAY_NAME_MODELS = ENV.BIOLAYER_PROFILE_MODELS
PROFILE_MAY_OMIT_SANDBOX = ENV.BIOLAYER_PROFILE_NO_SANDBOX
RATE_LIMIT_PER_MINUTE = ENV.BIOLAYER_RATE_LIMIT
# Calls that may come at once; None: as many as in a minute.
RATE_BURST = ENV.BIOLAYER_RATE_BURST
# None: four times the limit of a credential.
ORGANISATION_RATE_LIMIT_PER_MINUTE = ENV.BIOLAYER_ORGANISATION_RATE_LIMIT
ORGANISATION_RATE_BURST = ENV.BIOLAYER_ORGANISATION_RATE_BURST
# Failed authentications from an address.
FAILURE_LIMIT_PER_MINUTE = ENV.BIOLAYER_FAILURE_LIMIT
TRUSTED_PROXIES = ENV.BIOLAYER_TRUSTED_PROXIES
# Whether sessions of agents may release, fail, retry and recover runs that they do not hold.
AGENTS_MAY_FORCE = ENV.BIOLAYER_AGENTS_MAY_FORCE

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
    # Before the admin: its templates override the admin's.
    "apps.console.apps.ConsoleConfig",
    "apps.console.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    # Before allauth: its templates override allauth's.
    "apps.ui.apps.UiConfig",
    "allauth",
    "apps.ui.apps.SignInConfig",
    "allauth.mfa",
    "oauth2_provider",
    "rest_framework",
    "apps.accounts",
    "apps.events",
    "apps.timers",
    "apps.pools",
    "apps.tasks",
    "apps.matching",
    "apps.reviews",
    "apps.teams",
    "apps.webhooks",
    "apps.notices",
    "apps.sandbox",
    "apps.agents",
    "apps.operations",
    "apps.api",
    "apps.portal.apps.PortalConfig",
    "config.apps.Config",
    # What runs everything on one machine. The Docker image leaves it out.
    *(["local"] if find_spec("local") else []),
]
MIDDLEWARE = [
    "apps.api.http.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "apps.api.http.problems.UnavailableMiddleware",
    *(["apps.api.http.cors.CorsMiddleware"] if ENV.BIOLAYER_CORS_ORIGINS else []),
    # Runs PAGE_MIDDLEWARE for pages: an API path has no cookie, and pays for one comparison.
    "apps.ui.middleware.PageMiddleware",
]
PAGE_MIDDLEWARE = [
    "apps.ui.compression.CompressionMiddleware",
    "apps.ui.middleware.StaticFilesMiddleware",
    "apps.ui.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "apps.ui.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "apps.ui.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.ui.middleware.MemberMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False

# The last is for OAuth 2.0 clients only.
PASSWORD_HASHERS = [
    "apps.accounts.hashers.PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "apps.accounts.hashers.KeyedHasher",
]
AUTH_USER_MODEL = "accounts.User"
OAUTH2_PROVIDER_APPLICATION_MODEL = "accounts.OAuthApplication"
OAUTH2_PROVIDER_GRANT_MODEL = "accounts.OAuthCode"
OAUTH2_PROVIDER = {
    "SCOPES": {
        "tasks:read": _("Read tasks"),
        "tasks:create": _("Create tasks"),
        "tasks:cancel": _("Cancel tasks"),
        "tasks:manage": _("Change, boost, requeue, reassign and reopen tasks"),
        "tasks:review": _("Read submitted outputs, and give verdicts on them"),
        "webhooks:read": _("Read webhook endpoints and deliveries"),
        "webhooks:manage": _("Manage webhook endpoints and keys, send deliveries again"),
        "pools:read": _("Read pools, their members, workers and skills"),
        "pools:manage": _("Manage pools and workers"),
        "evidence:read": _("Read the evidence of verified outputs"),
        "evidence:unverified": _("Read evidence before its output is verified"),
        "organisation:read": _("Read the organisation's settings, members and invitations"),
        "organisation:manage": _("Manage the organisation's settings, members and invitations"),
        "credentials:read": _("Read API keys and OAuth applications, without their secrets"),
        "credentials:manage": _("Manage API keys and OAuth applications"),
        "audit:read": _("Read and export the audit log"),
    },
    "OAUTH2_SERVER_CLASS": "apps.accounts.oauth_server.server.Server",
    "OAUTH2_VALIDATOR_CLASS": "apps.accounts.oauth_server.validator.Validator",
    "SCOPES_BACKEND_CLASS": "apps.accounts.oauth_server.scopes.ClientScopes",
    # Empty: as the caller reached the server.
    "OIDC_ISS_ENDPOINT": ENV.BIOLAYER_BASE_URL or "",
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

# The parsers have bounds of their own, and pages the one of `PageMiddleware`.
DATA_UPLOAD_MAX_MEMORY_SIZE = None
# A form made from a schema may have some thousands (apps/ui/schema_forms/rendering.py).
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000
MEDIA_ROOT = BIOLAYER_HOME / "files"

# --- pages ----------------------------------------------------------------------------------------

# What links in mails begin with.
_host = next((host.lstrip(".") for host in ALLOWED_HOSTS if host != "*"), "localhost")
BASE_URL = ENV.BIOLAYER_BASE_URL or (f"http://localhost:{PORT}" if EMBEDDED else f"https://{_host}")
CORS_ORIGINS = ENV.BIOLAYER_CORS_ORIGINS
CORS_HEADERS = ["authorization", "content-type", "idempotency-key", "last-event-id"]

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
# Pages are served over https only. API paths are exempt: a redirected call would have sent its key
# in the clear already, and load balancers check the health over http.
SECURE_SSL_REDIRECT = not EMBEDDED
SECURE_REDIRECT_EXEMPT = [r"^(?!accounts|admin|portal|oauth/authorize|static/)"]
SECURE_HSTS_SECONDS = 0 if EMBEDDED else 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = not EMBEDDED
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# The names are those of Django 6. A response may replace directives: see apps/ui/csp.py.
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    # The QR code of an authenticator app is a data URL.
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "manifest-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
    "object-src": ["'none'"],
}

SESSION_ENGINE = "apps.accounts.sessions"
SESSION_COOKIE_AGE = 14 * 24 * 3600
# Browsers accept the prefix only with Secure, without Domain, and for the path `/`. Plain http on
# this machine has no Secure cookies; cookies ignore ports, so the name has it.
COOKIE_NAME = f"{{}}-{PORT}" if EMBEDDED else "__Host-{}"
SESSION_COOKIE_NAME = COOKIE_NAME.format("session")
SESSION_COOKIE_SECURE = not EMBEDDED
SESSION_COOKIE_HTTPONLY = True
# A client of OAuth 2.0 sends a person here from its own site.
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = COOKIE_NAME.format("csrf")
CSRF_COOKIE_SECURE = not EMBEDDED
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "apps.ui.views.errors.csrf_failure"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
CACHES = {"default": {"BACKEND": "apps.accounts.counters.PostgresCache"}}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "apps.ui.context.page",
            ]
        },
    }
]
STATIC_URL = "/static/"
# `collectstatic` fills it when the image is built. Without it (`make run`), files are served from
# the packages, under their plain names.
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    **storages(ENV),
    "staticfiles": {"BACKEND": "apps.ui.static_files.HashedStorage"},
}
WHITENOISE_USE_FINDERS = not (STATIC_ROOT / "staticfiles.json").exists()
WHITENOISE_ALLOW_ALL_ORIGINS = False

# --- sign-in --------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "account_home"
ACCOUNT_ADAPTER = "apps.ui.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "change_password": "apps.ui.forms.ChangePasswordForm",
    "reset_password_from_key": "apps.ui.forms.ResetPasswordKeyForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# An invitation has verified the address, so that this never asks; it refuses one that has not been.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_METHODS = ["password", "mfa"]
# Attempts in a time, of an address (`ip`) or of an account (`key`), in PostgreSQL.
ACCOUNT_RATE_LIMITS = {"login": "60/5m/ip", "login_failed": "30/5m/ip,5/5m/key"}
MFA_ADAPTER = "apps.ui.adapters.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "BioLayer"
# Codes of half a minute before and after: phones are not exact. None is accepted twice.
MFA_TOTP_TOLERANCE = 1
# Browsers allow passkeys over plain http on `localhost` only.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = EMBEDDED

_email = parse_email_url(ENV.EMAIL_URL)
EMAIL_BACKEND = _email.backend
EMAIL_HOST, EMAIL_PORT = _email.host, _email.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _email.user, _email.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _email.use_tls, _email.use_ssl
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENV.EMAIL_FROM

SILENCED_SYSTEM_CHECKS = [
    # PAGE_MIDDLEWARE has them, and `ui.E001` checks it.
    "security.W002",  # XFrameOptionsMiddleware
    "security.W003",  # CsrfViewMiddleware
    # Whether browsers list the domain is its owner's decision, not that of a service on it.
    "security.W021",
    # PAGE_MIDDLEWARE has them, and `ui.E001` checks those that protect pages.
    "admin.E408",  # AuthenticationMiddleware
    "admin.E409",  # MessageMiddleware
    "admin.E410",  # SessionMiddleware
]

USE_TZ = True
TIME_ZONE = "UTC"
# Pages are in the language that the browser prefers; the API is in English.
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_COOKIE_NAME = COOKIE_NAME.format("language")
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SECURE = not EMBEDDED
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LOCALE_PATHS = [BASE_DIR / "apps" / "ui" / "locale"]
# Dates and times as people of the language write them, with 24 hours.
FORMAT_MODULE_PATH = ["apps.ui.formats"]

LOGGING = logging_settings(level=ENV.LOG_LEVEL, as_json=not EMBEDDED)
