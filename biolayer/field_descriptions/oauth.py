"""Describe the fields of the clients of OAuth 2.0."""

from biolayer.field_descriptions.entries import Table, for_models
from biolayer.field_descriptions.examples import POOL, TIME

CLIENTS = (
    "OAuthApplication OAuthApplicationWithSecret OAuthApplicationCreation OAuthApplicationChange"
)

TABLE: Table = {
    "client_id": ("The ID of the client.", "uZ8nN4cXk2tq0WvH6yRjL1sEoB7fGdPa3mTxQ5iK"),
    **for_models(CLIENTS, "name", "The name that the consent page shows.", "Partner dashboard"),
    "client_type": (
        "`confidential`: it keeps a secret; `public`: it runs on a person's machine.",
        "confidential",
    ),
    "grant_types": ("The flows that it may use (RFC 6749).", ["authorization_code"]),
    "redirect_uris": (
        "Where codes may be sent to, compared character by character.",
        ["https://partner.example/callback"],
    ),
    **for_models(CLIENTS, "scopes", "The most that its tokens can have.", ["tasks:read"]),
    **for_models(CLIENTS, "role", "The highest role that it acts with.", "viewer"),
    **for_models(CLIENTS, "pool_ids", "Only these pools; null: every pool.", [POOL]),
    **for_models(
        "OAuthApplication OAuthApplicationWithSecret", "updated_at", "When it was changed.", TIME
    ),
    "client_secret": (
        "The secret of a confidential client. Shown only once.",
        "3b9a1c5e7f2048d6a1b0c8d41f6e2a9c5b637d2e7a109c552f6a1b0c8d41e8f0",
    ),
}
