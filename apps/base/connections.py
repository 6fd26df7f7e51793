"""Check the connections to PostgreSQL that are kept from request to request."""

from select import POLLIN, poll

from django.db import connections


def close_ended_connections(**_: object) -> None:
    """Close this thread's connections that PostgreSQL has ended since their last use.

    The request that begins then opens a new one. A receiver of Django's `request_started`.

    An idle connection has something to read only when its server has ended it. This check takes
    microseconds; Django's `CONN_HEALTH_CHECKS` would query PostgreSQL before each request.
    """
    for wrapper in connections.all(initialized_only=True):
        if wrapper.connection is None or wrapper.in_atomic_block:
            continue
        if wrapper.connection.closed or _is_readable(wrapper.connection.fileno()):
            wrapper.close()


def _is_readable(descriptor: int) -> bool:
    poller = poll()
    poller.register(descriptor, POLLIN)
    return bool(poller.poll(0))
