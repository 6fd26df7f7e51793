"""Tell pages, which a person opens in a browser, from the calls of an API.

Only pages have cookies: an API path never reads one, and never pays for a session.
"""

import re

from django.conf import settings

# What `MIDDLEWARE` of pages runs for. The API's paths are everything else.
PREFIXES = ("/accounts", "/admin", "/portal", "/oauth/authorize", "/static/")


def is_page(path: str) -> bool:
    """Return whether a path belongs to a page or to a page's file."""
    return path == "/" or path.startswith(PREFIXES)


KIB = 1024
# What a path takes more than `MAX_BODY_BYTES`: a file of 10 MiB with its form, a draft.
FILE_BYTES = 10 * KIB * KIB + 64 * KIB
LARGER = (
    (re.compile(r"/portal/profile/certifications/"), FILE_BYTES),
    (re.compile(r"/portal/runs/[0-9a-f-]{36}/evidence"), FILE_BYTES),
    (re.compile(r"/portal/runs/[0-9a-f-]{36}/(?:draft|submit)"), 1024 * KIB),
)


def body_limit(path: str) -> int:
    """Return how many bytes the body of a page's request may have."""
    for pattern, limit in LARGER:
        if pattern.fullmatch(path):
            return limit
    return int(settings.MAX_BODY_BYTES)
