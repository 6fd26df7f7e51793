"""Connections to PostgreSQL that are kept from request to request."""

from select import POLLIN, poll

from django.db import connections


def let_go_of_ended(**_: object) -> None:
    """Close this thread's connections that PostgreSQL has ended since they were last used, so that
    the request that begins opens a new one. A receiver of Django's `request_started`.

    An idle connection has something to read only when its server has said goodbye. To look takes
    microseconds; Django's `CONN_HEALTH_CHECKS` would ask PostgreSQL before each request.
    """
    for kept in connections.all(initialized_only=True):
        if kept.connection is None or kept.in_atomic_block:
            continue
        if kept.connection.closed or _has_something_to_read(kept.connection.fileno()):
            kept.close()


def _has_something_to_read(descriptor: int) -> bool:
    waiting = poll()
    waiting.register(descriptor, POLLIN)
    return bool(waiting.poll(0))
