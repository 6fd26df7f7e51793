"""Load the installation's secrets from the environment, or create them for an embedded home."""

import json
import secrets
import sys
from pathlib import Path

from cryptography.fernet import Fernet

from config.settings.environment import Environment

REQUIRED = ("SECRET_KEY", "ENCRYPTION_KEYS", "ALLOWED_HOSTS")


def secrets_for(env: Environment, *, home: Path) -> tuple[str, list[str]]:
    """Return `SECRET_KEY` and `ENCRYPTION_KEYS`. Exit with a line if production lacks them."""
    if all(getattr(env, name) for name in REQUIRED):
        assert env.SECRET_KEY
        return env.SECRET_KEY, env.ENCRYPTION_KEYS
    if env.DATABASE_URL is not None:
        missing = [name for name in REQUIRED if not getattr(env, name)]
        sys.exit(f"{missing[0]} must be set together with DATABASE_URL (see docs/running.md)")
    stored = _stored(home / "secrets.json")
    keys = env.ENCRYPTION_KEYS or [stored["ENCRYPTION_KEY"]]
    return env.SECRET_KEY or stored["SECRET_KEY"], keys


def _stored(path: Path) -> dict[str, str]:
    """Return the secrets of a home; create them at the first start, readable by its owner only."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        created = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "ENCRYPTION_KEY": Fernet.generate_key().decode(),
        }
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(created))
            _publish(draft, path)
        stored: dict[str, str] = json.loads(path.read_text())
    except OSError as error:
        sys.exit(
            f"cannot write in {path.parent} ({error.strerror}):"
            " set BIOLAYER_HOME to a folder you own"
        )
    return stored


def _publish(draft: Path, path: Path) -> None:
    """Put the draft in place unless another process did it first: a link never overwrites."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
