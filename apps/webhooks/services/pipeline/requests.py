"""Build the signed request of a claimed delivery."""

import base64
from collections.abc import Callable, Sequence
from typing import TypeVar

from cryptography.fernet import InvalidToken

from apps.accounts.sandbox_ids import is_of_sandbox
from apps.base import crypto
from apps.webhooks.credentials import unsealed
from apps.webhooks.http_client import Request, Unreadable
from apps.webhooks.selectors import SealedKey
from apps.webhooks.services.pipeline.claiming import ClaimedDelivery
from biolayer import signing
from biolayer.headers import SANDBOX_HEADER

T = TypeVar("T")


def signed_request(delivery: ClaimedDelivery, keys: Sequence[SealedKey]) -> Request:
    """Return the request, signed with every one of `keys` at the time of the claim.

    Keys and credentials are decrypted here, within the attempt that needs them, so that a failure
    concerns this attempt alone. Raise `Unreadable`.
    """
    signing_keys = _decrypted("signing key", lambda: [key.opened() for key in keys])
    signature_headers = signing.sign(
        secrets=signing_keys,
        message_id=f"msg_{delivery.id.hex}",
        at=delivery.claimed_at,
        body=delivery.body,
    )
    own_headers, secrets = _decrypted("credentials", lambda: _own_headers(delivery))
    mark = {SANDBOX_HEADER: "true"} if is_of_sandbox(delivery.organisation_id) else {}
    return Request(
        connection_key=delivery.origin_id,
        url=delivery.url,
        headers={**own_headers, "Content-Type": "application/json", **signature_headers, **mark},
        body=delivery.body,
        timeout_seconds=float(delivery.timeout_seconds),
        secrets=(*secrets, *signing_keys),
    )


def _own_headers(delivery: ClaimedDelivery) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the destination's headers, with its credentials, and the secret values in them."""
    if not delivery.sealed:
        return {}, ()
    document = unsealed(delivery.organisation_id, delivery.sealed)
    headers = {**document.get("headers", {}), **_authorisation(delivery.auth_type, document)}
    credentials = (document.get(name) for name in ("token", "username", "password", "value"))
    values = [*headers.values(), *credentials]
    return headers, tuple(dict.fromkeys(value for value in values if value))


def _decrypted(what: str, decrypt: Callable[[], T]) -> T:
    try:
        return decrypt()
    except (InvalidToken, crypto.SealBroken) as error:
        raise Unreadable(f"the {what} cannot be decrypted: see ENCRYPTION_KEYS") from error


def _authorisation(auth_type: str, auth: dict[str, str]) -> dict[str, str]:
    match auth_type:
        case "bearer":
            return {"Authorization": f"Bearer {auth['token']}"}
        case "basic":
            pair = f"{auth['username']}:{auth['password']}".encode()
            return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        case "header":
            return {auth["name"]: auth["value"]}
        case _:
            return {}
