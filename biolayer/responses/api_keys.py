"""Describe the responses of `/v1/api-keys`."""

from typing import Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.values import Identifier, RoleName, Timestamp


class KeySecret(OpenModel):
    """A secret of a key that is valid, without the secret itself."""

    starts_with: str = Field(description="How the secret begins: enough to recognise it.")
    created_at: Timestamp
    expires_at: Timestamp | None
    last_used_at: Timestamp | None


class ApiKey(OpenModel):
    """An API key. While it is being rotated it has two secrets."""

    key_id: str
    name: str
    mode: Literal["live", "test"]
    status: Literal["active", "expired", "revoked"]
    scopes: list[str]
    role: RoleName
    pool_ids: list[Identifier] | None
    worker_id: Identifier | None
    allowed_networks: list[str]
    created_by: str | None
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None
    last_used_at: Timestamp | None
    secrets: list[KeySecret] = Field(description="The valid secrets, newest first.")


class IssuedApiKey(ApiKey):
    """A key with its new secret."""

    api_key: str = Field(
        default="",
        description="The secret to call with. Shown only once: an idempotent replay has none.",
    )


class ApiKeyPage(Page):
    data: list[ApiKey]
