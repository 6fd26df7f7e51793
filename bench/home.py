"""Provide a home for one run of a bench: durable servers of its own, removed afterwards."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from local import embedded

# Settings of the caller that the bench must not inherit.
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS")

TAIL = 2_000


@contextlib.contextmanager
def home_for_this_run(**environment: str) -> Iterator[Path]:
    """Yield the home, and set it and `environment` in this process's environment."""
    with tempfile.TemporaryDirectory(prefix="biolayer-bench-") as folder:
        home = Path(folder)
        for name in OURS:
            os.environ.pop(name, None)
        os.environ |= {"BIOLAYER_HOME": folder, **environment}
        try:
            embedded.start_postgres(home)
            embedded.start_redis(home)
            yield home
        except Exception:
            # The logs are removed with the home.
            print(_ends_of_logs(home), file=sys.stderr)
            raise
        finally:
            embedded.stop_redis(home)
            embedded.stop_postgres(home)


def _ends_of_logs(home: Path) -> str:
    logs = [log for log in sorted((home / "logs").glob("*.log")) if log.stat().st_size]
    return "\n".join(f"--- {log.name}\n{log.read_text()[-TAIL:]}" for log in logs)
