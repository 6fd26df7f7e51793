"""Encrypt and decrypt a destination's credentials and custom headers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from apps.base import crypto
from biolayer.contract import CallbackAuth


def credentials_place(organisation_id: UUID) -> crypto.Place:
    """Return what a destination's credentials are sealed for."""
    return crypto.Place(organisation_id, "webhooks_destination", "auth")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Hold what a destination's row keeps sealed."""

    auth: CallbackAuth = field(default_factory=CallbackAuth)
    headers: Mapping[str, str] = field(default_factory=dict)

    def sealed(self, organisation_id: UUID) -> bytes:
        """Return the column `sealed` for a row of the organisation; empty without any secret."""
        if self.auth.type == "none" and not self.headers:
            return b""
        document = {**self.auth.model_dump(exclude_none=True), "headers": dict(self.headers)}
        return crypto.seal(orjson.dumps(document).decode(), credentials_place(organisation_id))


def unsealed(organisation_id: UUID, sealed: bytes) -> dict[str, Any]:
    """Return the fields of `auth`, and `headers`. Raise what `crypto.unseal` raises."""
    if not sealed:
        return {}
    document: dict[str, Any] = orjson.loads(
        crypto.unseal(sealed, credentials_place(organisation_id))
    )
    return document
