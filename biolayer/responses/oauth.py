"""Describe the responses of `/v1/oauth-applications`."""

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.requests.oauth import ClientType, GrantType
from biolayer.responses.pages import Page
from biolayer.values import Identifier, RoleName, Timestamp


class OAuthApplication(OpenModel):
    """A client of OAuth 2.0, without its secret."""

    client_id: str
    name: str
    client_type: ClientType
    grant_types: list[GrantType]
    redirect_uris: list[str]
    scopes: list[str] = Field(description="The most that its tokens can have.")
    role: RoleName
    pool_ids: list[Identifier] | None = Field(description="Null: every pool.")
    created_at: Timestamp
    updated_at: Timestamp


class OAuthApplicationWithSecret(OAuthApplication):
    """A client, with a secret if it is confidential."""

    client_secret: str = Field(
        default="",
        description="Shown only once: an idempotent replay has none; empty for a public client.",
    )


class OAuthApplicationPage(Page):
    data: list[OAuthApplication]
