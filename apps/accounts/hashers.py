"""Hash the secrets of OAuth 2.0 clients with a keyed hash, as API keys are hashed.

They are random and long, so that a slow hash adds no security: each wrong secret would cost a
quarter of a second of processor time, which an attacker could exhaust. Passwords of people keep
Django's own hasher.
"""

import hmac
from typing import Any

from django.contrib.auth.hashers import BasePasswordHasher

from apps.base import crypto


class KeyedHasher(BasePasswordHasher):
    """Encode a secret as `keyed$<hex of the hash>`."""

    algorithm = "keyed"

    def salt(self) -> str:
        return ""

    def encode(self, password: str, salt: str = "") -> str:
        return f"{self.algorithm}${crypto.keyed_hash('oauth-client', password.encode()).hex()}"

    def verify(self, password: str, encoded: str) -> bool:
        return hmac.compare_digest(self.encode(password), encoded)

    def safe_summary(self, encoded: str) -> dict[Any, Any]:
        return {"algorithm": self.algorithm}

    def must_update(self, encoded: str) -> bool:
        return False

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Do nothing: every check takes the same time."""
