"""Define the bodies of calls on `/v1/oauth-applications`."""

import re
from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from biolayer.contract import Model
from biolayer.errors import Fault, InvalidInput
from biolayer.values import UNIQUE, ClientScopeName, Identifier, RoleName, Words

ClientType = Literal["confidential", "public"]
GrantType = Literal["authorization_code", "client_credentials"]

LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\])(:\d{1,5})?(/|$)")


def _redirect_uri(uri: str) -> str:
    """Return a URI that a code may be sent to: https, or http to this machine (RFC 8252, 7.3)."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise PydanticCustomError("invalid_url", "is not a URL") from None
    if "#" in uri:
        raise PydanticCustomError("fragment_in_url", "must not have a fragment")
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError("credentials_in_url", "must not contain credentials")
    if not parts.hostname or "*" in parts.netloc or port == 0:
        raise PydanticCustomError("invalid_url", "needs a host, without wildcards")
    if not uri.startswith("https://") and not LOOPBACK.match(uri):
        raise PydanticCustomError(
            "scheme_not_allowed",
            "must begin with https://, or with http://127.0.0.1 or http://[::1] for a program on"
            " the person's own machine",
        )
    return uri


Name = Annotated[Words, Field(max_length=200)]
RedirectUri = Annotated[
    str,
    Field(
        max_length=2000,
        pattern=r"^[\x21-\x5b\x5d-\x7e]+$",
        json_schema_extra={
            "pattern": r"^(https://[\x21-\x2e\x30-\x3e\x40-\x5b\x5d-\x7e]"
            r"|http://(127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?(/|$))[\x21\x22\x24-\x5b\x5d-\x7e]*$"
        },
    ),
    AfterValidator(_redirect_uri),
]
RedirectUris = Annotated[list[RedirectUri], Field(max_length=20), UNIQUE]
Scopes = Annotated[list[ClientScopeName], Field(min_length=1), UNIQUE]
GrantTypes = Annotated[list[GrantType], Field(min_length=1), UNIQUE]
PoolIds = Annotated[list[Identifier], Field(min_length=1, max_length=50), UNIQUE]


def redirect_faults(
    redirect_uris: Collection[str], *, grant_types: Collection[str], client_type: str
) -> Iterator[tuple[str, str]]:
    """Yield a code and a text for each fault of a client's redirect URIs."""
    if "authorization_code" in grant_types and not redirect_uris:
        yield "required", "is needed for the grant type authorization_code"
    if "authorization_code" not in grant_types and redirect_uris:
        yield "not_used", "is used by the grant type authorization_code only"
    if client_type != "public" and any(map(LOOPBACK.match, redirect_uris)):
        yield "scheme_not_allowed", "must begin with https://; only a public client may use http"


class OAuthApplicationCreation(Model):
    """The body of `POST /v1/oauth-applications`.

    A `public` client runs on a person's machine and cannot keep a secret: it has the grant type
    `authorization_code` only. `pool_ids` null means every pool.
    """

    name: Name
    client_type: ClientType = "confidential"
    grant_types: GrantTypes
    redirect_uris: RedirectUris = Field(default=[], validate_default=True)
    scopes: Scopes
    role: RoleName = "viewer"
    pool_ids: PoolIds | None = None

    @field_validator("grant_types")
    @classmethod
    def _with_a_secret(cls, grant_types: list[str], info: ValidationInfo) -> list[str]:
        if info.data.get("client_type") == "public" and "client_credentials" in grant_types:
            raise PydanticCustomError(
                "not_one_of", "must be authorization_code for a public client"
            )
        return grant_types

    @field_validator("redirect_uris")
    @classmethod
    def _suits_flow(cls, redirect_uris: list[str], info: ValidationInfo) -> list[str]:
        if info.data.keys() >= {"grant_types", "client_type"}:
            grant_types, client_type = info.data["grant_types"], info.data["client_type"]
            for code, text in redirect_faults(
                redirect_uris, grant_types=grant_types, client_type=client_type
            ):
                raise PydanticCustomError("redirect_uri", "{text}", {"text": text, "code": code})
        return redirect_uris


# The default of fields that are absent. It is never read: see `model_fields_set`.
_UNCHANGED: Any = None


class OAuthApplicationChange(Model):
    """The body of `PATCH /v1/oauth-applications/{client_id}`. Absent fields stay as they are."""

    name: Name = _UNCHANGED
    redirect_uris: RedirectUris = _UNCHANGED
    scopes: Scopes = _UNCHANGED
    role: RoleName = _UNCHANGED
    pool_ids: PoolIds | None = None

    def check_for(self, grant_types: Collection[str], client_type: str) -> None:
        """Raise `InvalidInput` where the redirect URIs do not suit the client."""
        if "redirect_uris" not in self.model_fields_set:
            return
        faults = redirect_faults(
            self.redirect_uris, grant_types=grant_types, client_type=client_type
        )
        listed = [Fault("/redirect_uris", code, text) for code, text in faults]
        if listed:
            raise InvalidInput(listed)
