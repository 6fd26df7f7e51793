"""Start and stop the PostgreSQL and the Redis of an embedded installation.

They are real servers under `BIOLAYER_HOME`. Both listen on unix sockets only (see
config/embedded.py for their addresses), run in their own session, so that Ctrl-C in the terminal
does not reach them, and are recognised by their pid files: a start that was killed leaves nothing
to clean up by hand.
"""

from local.embedded._home import EmbeddedError, prepare_home
from local.embedded._postgres import start_postgres, stop_postgres
from local.embedded._redis import start_redis, stop_redis

__all__ = [
    "EmbeddedError",
    "prepare_home",
    "start_postgres",
    "start_redis",
    "stop_postgres",
    "stop_redis",
]
