"""Return the state of an origin's breaker."""

from datetime import datetime

from apps.webhooks.models import Origin


def breaker_state(origin: Origin, *, at: datetime) -> str:
    """Return `closed`, `open` (nothing is sent) or `probing` (one attempt may be made)."""
    if origin.open_until is None:
        return "closed"
    return "open" if origin.open_until > at else "probing"
