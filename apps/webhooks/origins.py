"""Which origin a URL belongs to, and the id that the origin's row has."""

import hashlib
from urllib.parse import urlsplit
from uuid import UUID

PORTS = {"https": 443, "http": 80}


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL that `addresses.url_problem` lets pass, in lower case."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or PORTS[parts.scheme]}"


def origin_id(organisation_id: UUID, text: str) -> UUID:
    """The id of an organisation's origin, the same wherever it is computed: nobody has to look it
    up before a delivery is written. No secret, so MD5 (which PostgreSQL has as well) will do.
    """
    digest = hashlib.md5(f"{organisation_id} {text}".encode(), usedforsecurity=False)
    return UUID(bytes=digest.digest())
