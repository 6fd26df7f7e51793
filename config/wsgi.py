"""The API, by WSGI."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("BIOLAYER_PROCESS", "web")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

_application = get_wsgi_application()

from apps.api.http.framing import with_chunked_bodies, with_hosts
from apps.api.http.parsing import MAX_FORM_BYTES

_limit = max(settings.MAX_BODY_BYTES, MAX_FORM_BYTES)
application = with_hosts(with_chunked_bodies(_application, limit=_limit))
