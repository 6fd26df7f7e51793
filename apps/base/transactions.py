"""Run one transaction for each call, however many services take part in it."""

from collections.abc import Callable
from typing import TypeVar

from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.db.transaction import Atomic

from biolayer.errors import BioLayerError, Conflict

R = TypeVar("R")

MAX_TRIES = 3

# lock_not_available, query_canceled: the limits of config/settings/database.py.
TIMEOUT_STATES = ("55P03", "57014")

# deadlock_detected, serialization_failure.
RACE_STATES = ("40P01", "40001")


def atomic() -> "Atomic":
    """Return `transaction.atomic` without savepoints: an error undoes the whole call."""
    return transaction.atomic(savepoint=False)


def is_timeout(error: BaseException) -> bool:
    """Return whether a statement ended because a row was locked, or because it took too long."""
    return getattr(error.__cause__, "sqlstate", None) in TIMEOUT_STATES


def is_race(error: BaseException) -> bool:
    """Return whether concurrent transactions deadlocked, or could not be put into an order."""
    return getattr(error.__cause__, "sqlstate", None) in RACE_STATES


def is_unreachable(error: BaseException) -> bool:
    """Return whether PostgreSQL could not be reached, or ended the connection."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    # Class 08: connection exceptions; 57P: the server stops or starts.
    return state is None or state.startswith(("08", "57P"))


def raise_if_disconnected(error: Exception) -> None:
    """Raise the error again when the database connection is lost: no row caused it."""
    if isinstance(error, Error) and not connection.is_usable():
        raise error


class Raced(Conflict):
    """Raised when a concurrent call did the same first, and a new transaction would see it."""


def one_of_several(call: Callable[[], R]) -> "R | BioLayerError":
    """Return what a call for one of several rows returns, or why it was refused.

    A row that another transaction holds for too long is refused, too: the calls before it have
    committed, and their results must not be lost. Within an open transaction that error is raised,
    since it undoes them all.
    """
    is_alone = not transaction.get_connection().in_atomic_block
    try:
        return call()
    except BioLayerError as error:
        return error
    except OperationalError as error:
        if is_alone and (is_timeout(error) or is_race(error)):
            return Raced("It is being changed elsewhere. Try again in a moment.")
        raise


def retry_races(call: Callable[[], R]) -> R:
    """Run `call`, which opens its own transaction; run it again after a race or a deadlock.

    `MAX_TRIES` times at most. Within an open transaction it runs once: only the outermost
    transaction can be tried again.
    """
    if transaction.get_connection().in_atomic_block:
        return call()
    for _ in range(MAX_TRIES - 1):
        try:
            return call()
        except Raced:
            continue
        except OperationalError as error:
            if not is_race(error):
                raise
    return call()
