"""Name an object's version in `ETag`, and require it in `If-Match` (RFC 9110, 8.8.3, 13.1.1)."""

import re

from rest_framework.request import Request

from apps.api.http.headers import header
from biolayer.errors import Fault, InvalidInput, VersionChanged, VersionMissing

IF_MATCH = "If-Match"
ETAG = re.compile(r'"([0-9]{1,10})"')
IF_MATCH_PATTERN = r'^(\*|"[0-9]{1,10}")$'


def etag(version: int) -> dict[str, str]:
    """Return the header that names a version."""
    return {"ETag": f'"{version}"'}


def check_version(request: Request, version: int) -> None:
    """Check that `If-Match` names the object's version, or `*`.

    Raise `VersionMissing`, `VersionChanged`, and `InvalidInput` for what is no ETag of ours.
    """
    text = header(request, IF_MATCH)
    if text is None:
        raise VersionMissing
    if text.strip() == "*":
        return
    found = ETAG.fullmatch(text.strip())
    if found is None:
        fault = Fault("", "invalid_if_match", f'the header {IF_MATCH} must be an ETag, such as "7"')
        raise InvalidInput([fault])
    if int(found[1]) != version:
        raise VersionChanged(version)
