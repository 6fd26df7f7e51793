"""Take secrets out of what is shown and sent."""

import re
from typing import Any

CLAIM_TOKEN = re.compile(r"agh_claim_[A-Za-z0-9_\-]+")
SECRETS = re.compile(
    rf"{CLAIM_TOKEN.pattern}|whsec_[A-Za-z0-9+/=_\-]+|(?<=Bearer )[A-Za-z0-9._~+/=\-]+"
)
SECRET_KEYS = frozenset(
    [
        "access_token",
        "api_key",
        "authorization",
        "claim_token",
        "client_secret",
        "password",
        "refresh_token",
        "secret",
        "token",
    ]
)
REDACTED = "[redacted]"


def redacted(text: str) -> str:
    """Return a text without claim tokens."""
    return CLAIM_TOKEN.sub(REDACTED, text)


def redacted_document(value: Any) -> Any:
    """Return a JSON value that leaves the service without secrets.

    Whatever has the name of a secret is one, and what looks like a token in any text. Outputs are bounded in
    their depth (64 levels).
    """
    match value:
        case str():
            return SECRETS.sub(REDACTED, value)
        case dict():
            return {
                SECRETS.sub(REDACTED, key): (
                    REDACTED if _is_secret(key) else redacted_document(inner)
                )
                for key, inner in value.items()
            }
        case list():
            return [redacted_document(inner) for inner in value]
        case _:
            return value


def _is_secret(key: str) -> bool:
    return key.strip().lower().replace("-", "_") in SECRET_KEYS
