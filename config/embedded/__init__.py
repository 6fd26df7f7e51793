"""The PostgreSQL and the Redis of a machine that has none: real servers, started under
`BIOLAYER_HOME`.

Both listen on unix sockets only, run in their own session (the terminal's Ctrl-C does not reach
them) and are found again by their pid files, so that a killed start leaves nothing to clean up by
hand. The addresses follow from the home alone: settings can ask for them before anything runs. This
module must not import Django, for settings import it.
"""

from config.embedded._home import EmbeddedError, prepare_home, socket_folder
from config.embedded._postgres import database_url, start_postgres, stop_postgres
from config.embedded._redis import broker_url, redis_url, start_redis, stop_redis

__all__ = [
    "EmbeddedError",
    "broker_url",
    "database_url",
    "prepare_home",
    "redis_url",
    "socket_folder",
    "start_postgres",
    "start_redis",
    "stop_postgres",
    "stop_redis",
]
