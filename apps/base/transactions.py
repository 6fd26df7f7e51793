"""One transaction for each call, however many services take part in it."""

from collections.abc import Callable
from typing import TypeVar

from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.db.transaction import Atomic

from biolayer.errors import Conflict

R = TypeVar("R")

TRIES = 3


def atomic() -> "Atomic":
    """`transaction.atomic` without a savepoint when nested: a refusal undoes the whole call."""
    return transaction.atomic(savepoint=False)


HELD_UP = ("55P03", "57014")
"""lock_not_available, query_canceled: the bounds of config/settings/database.py."""


def is_held_up(error: BaseException) -> bool:
    """Whether a statement gave up because others hold what it needs, or because it took too long."""
    return getattr(error.__cause__, "sqlstate", None) in HELD_UP


def is_away(error: BaseException) -> bool:
    """Whether PostgreSQL could not be reached, or ended the connection."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    # Class 08: connection exceptions; 57P: the server stops or starts.
    return state is None or state.startswith(("08", "57P"))


def raise_if_gone(error: Exception) -> None:
    """Raise the error again when it came from a database that is gone: no row of it is to blame."""
    if isinstance(error, Error) and not connection.is_usable():
        raise error


class Raced(Conflict):
    """A concurrent call did the same first, and a new transaction would see it. Try once more."""


def retried(call: Callable[[], R]) -> R:
    """`call`, which opens its own transaction, tried again after a race or a deadlock.

    Within an open transaction it is called once: only the outermost can be tried again.
    """
    if transaction.get_connection().in_atomic_block:
        return call()
    for _ in range(TRIES - 1):
        try:
            return call()
        except Raced:
            continue
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in ("40P01", "40001"):
                raise
    return call()
