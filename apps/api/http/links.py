"""Make and accept links to the content of a file: URLs that need no other credential.

A link names the path, when it ends, and the credential that it was made for: an API key, or an
access token with what it may do. It is valid as long as these are, `LIFETIME` at most, and from the
networks only that the credential may be used from.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from rest_framework.request import Request

from apps.accounts.principal import Principal
from apps.accounts.selectors import Authenticated, LinkHolder, authenticate_link, grant_hash
from apps.api.http.authentication import BearerAuthentication, check_access, refusals_counted
from apps.api.http.operations import Query
from apps.api.http.parameters import parameter_faults
from apps.base import crypto
from apps.base.addresses import client_address
from biolayer.errors import InvalidInput, Unauthenticated

PARAMETER = "access"
LIFETIME = timedelta(minutes=5)
SIGNATURE_BYTES = 32
INVALID = "This link has ended, or is not valid. Read the file's `content_url` again."

ACCESS = Query(
    PARAMETER,
    {"type": "string"},
    "The credential within `content_url`; such a URL needs no other.",
    "b3BhcXVl",
)


@dataclass(frozen=True, slots=True)
class Link:
    """Hold a URL, and when it ends."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Links:
    """Make links for a caller."""

    actor: Principal
    at: datetime

    def to(self, path: str) -> Link:
        """Return a link to a path, which the caller may read."""
        actor = self.actor
        # In whole seconds.
        seconds = int((self.at + LIFETIME).timestamp())
        grant = grant_hash(actor) if actor.token_id else ""
        credential = [actor.key_id, actor.token_id, grant]
        payload = orjson.dumps(
            [seconds, str(actor.organisation_id), actor.kind, actor.id, *credential]
        )
        text = base64.urlsafe_b64encode(_signature(path, payload) + payload).decode().rstrip("=")
        return Link(f"{path}?{PARAMETER}={text}", datetime.fromtimestamp(seconds, UTC))


class LinkAuthentication(BearerAuthentication):
    """Authenticate by a link, or as every other call where there is none."""

    def authenticate(self, request: Request) -> tuple[Principal, Authenticated]:
        """Raise `Unauthenticated`, also for a link of another path, or as for its credential."""
        text = request.query_params.get(PARAMETER)
        if text is None:
            return super().authenticate(request)
        seconds, *names, key_id, token_id, grant = _opened(request.path, text)
        organisation_id, kind, holder_id = names
        address = client_address(request)
        holder = LinkHolder(
            organisation_id=organisation_id,
            kind=kind,
            id=holder_id,
            key_id=key_id,
            token_id=token_id,
            grant=grant,
            address=str(address or ""),
        )
        authenticated = authenticate_link(holder)
        if authenticated is None or authenticated.at.timestamp() >= seconds:
            raise Unauthenticated(INVALID)
        with refusals_counted(address):
            check_access(address, authenticated)
        return authenticated.principal, authenticated


def has_link(request: Request) -> bool:
    """Return whether the call was authenticated by a link. Raise `InvalidInput` for others."""
    faults = parameter_faults(request.query_params, [PARAMETER])
    if faults:
        raise InvalidInput(faults)
    return PARAMETER in request.query_params


def _opened(path: str, text: str) -> list[Any]:
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Unauthenticated(INVALID) from None
    signature, payload = decoded[:SIGNATURE_BYTES], decoded[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(path, payload)):
        raise Unauthenticated(INVALID)
    values: list[Any] = orjson.loads(payload)
    return values


def _signature(path: str, payload: bytes) -> bytes:
    # The purpose names the form of the payload: a link of another form is not valid.
    return crypto.keyed_hash(f"content-link-2:{path}", payload)
