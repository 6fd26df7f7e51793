"""The streams, by ASGI, apart from the API: an open stream costs a socket, not a thread."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

settings.ROOT_URLCONF = "config.stream_urls"

application = get_asgi_application()
