"""Provide the WSGI application."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.usual_way.settings"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
