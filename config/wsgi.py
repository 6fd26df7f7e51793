"""Serve the API by WSGI."""

import gc
import os
import sys
from multiprocessing.util import Finalize

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("BIOLAYER_PROCESS", "web")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

_application = get_wsgi_application()

from apps.api.http.framing import accept_chunked_bodies, require_host
from apps.api.http.parsing import MAX_FORM_BYTES
from apps.operations import heartbeat

# The garbage collector would traverse all loaded objects repeatedly. Reference counts free what a
# request leaves; cycles are few.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 50)

# A thread that waits for PostgreSQL releases the interpreter lock by itself. Taking it from a
# computing thread every 5 ms, the default, only costs context switches.
sys.setswitchinterval(0.05)

_limit = max(settings.MAX_BODY_BYTES, MAX_FORM_BYTES)
application = require_host(accept_chunked_bodies(_application, limit=_limit))

# Each web process imports this once, after the server has forked it. A process of `multiprocessing`
# ends without `atexit`, but with its finalizers.
heartbeat.start("web")
Finalize(None, heartbeat.stop, exitpriority=10)
