"""The API, by WSGI."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("BIOLAYER_PROCESS", "web")

application = get_wsgi_application()
