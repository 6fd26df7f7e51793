"""The installation's own secrets: given by the environment, or made once for an embedded home."""

import json
import secrets
import sys
from pathlib import Path

from cryptography.fernet import Fernet

from config.settings.environment import Environment

REQUIRED = ("SECRET_KEY", "ENCRYPTION_KEYS", "ALLOWED_HOSTS")


def secrets_for(env: Environment, *, home: Path) -> tuple[str, list[str]]:
    """`SECRET_KEY` and `ENCRYPTION_KEYS`. Exits with a line where production lacks them."""
    if all(getattr(env, name) for name in REQUIRED):
        assert env.SECRET_KEY
        return env.SECRET_KEY, env.ENCRYPTION_KEYS
    if env.DATABASE_URL is not None:
        missing = [name for name in REQUIRED if not getattr(env, name)]
        sys.exit(f"{missing[0]} must be set together with DATABASE_URL (see docs/running.md)")
    kept = _kept(home / "secrets.json")
    return env.SECRET_KEY or kept["SECRET_KEY"], env.ENCRYPTION_KEYS or [kept["ENCRYPTION_KEY"]]


def _kept(path: Path) -> dict[str, str]:
    """The secrets of an embedded home; made at the first start, readable by its owner only."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "ENCRYPTION_KEY": Fernet.generate_key().decode(),
        }
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(made))
            _publish(draft, path)
        kept: dict[str, str] = json.loads(path.read_text())
    except OSError as error:
        sys.exit(
            f"cannot write in {path.parent} ({error.strerror}): set BIOLAYER_HOME to a folder you own"
        )
    return kept


def _publish(draft: Path, path: Path) -> None:
    """Put the draft in place unless another process was faster: a link never overwrites."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
