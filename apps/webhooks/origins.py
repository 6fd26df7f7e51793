"""Compute a URL's origin, and the id of the origin's row."""

import hashlib
from functools import lru_cache
from urllib.parse import urlsplit
from uuid import UUID

PORTS = {"https": 443, "http": 80}


@lru_cache(maxsize=1024)
def origin_of(url: str) -> str:
    """Return scheme, host and port, in lower case, of a URL without a `url_problem`."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or PORTS[parts.scheme]}"


@lru_cache(maxsize=1024)
def origin_id(organisation_id: UUID, text: str) -> UUID:
    """Return the id of an organisation's origin, so that no query is needed for a new delivery.

    It is not a secret, so MD5, which PostgreSQL has as well, is enough.
    """
    digest = hashlib.md5(f"{organisation_id} {text}".encode(), usedforsecurity=False)
    return UUID(bytes=digest.digest())
