"""Hash people's passwords slowly, and the secrets of OAuth 2.0 clients with a keyed hash.

Secrets of clients are random and long, as API keys are, so that a slow hash adds no security: each
wrong secret would cost processor time, which an attacker could exhaust.
"""

import hmac
from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher, BasePasswordHasher

from apps.base import crypto


class PasswordHasher(Argon2PasswordHasher):
    """Use argon2id with 46 MiB, one pass and one thread (OWASP's password storage cheat sheet).

    Django's own parameters take 100 MiB and eight threads for each attempt to sign in: all threads
    of a web process at once would need a gigabyte.
    """

    time_cost = 1
    memory_cost = 46 * 1024
    parallelism = 1


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
