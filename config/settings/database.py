"""Define how Django connects to PostgreSQL, and how long each process may wait there.

No statement, lock or transaction waits without a bound: a transaction that was left open must block
its own rows only. The bounds depend on the kind of process.
"""

from dataclasses import dataclass
from typing import Any, Literal

from psycopg.conninfo import conninfo_to_dict

ProcessKind = Literal["web", "stream", "worker", "ticker", "command"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Hold the bounds of a connection in milliseconds; 0 means no bound."""

    # How long a statement waits for a lock that another transaction holds.
    lock: int
    # How long a statement may run.
    statement: int
    # How long a transaction may be idle: a stopped process loses its locks.
    idle_in_transaction: int

    def options(self) -> str:
        """Return the bounds as libpq's `options`."""
        return " ".join(
            f"-c {name}={milliseconds}"
            for name, milliseconds in (
                ("lock_timeout", self.lock),
                ("statement_timeout", self.statement),
                ("idle_in_transaction_session_timeout", self.idle_in_transaction),
            )
        )


BOUNDS: dict[ProcessKind, Bounds] = {
    # Half a second: eight calls that wait for a locked row block all eight threads of a process.
    "web": Bounds(lock=500, statement=10_000, idle_in_transaction=5_000),
    "stream": Bounds(lock=500, statement=10_000, idle_in_transaction=5_000),
    # A drain skips locked rows and retries them later: see apps/base/drains.py.
    "worker": Bounds(lock=100, statement=20_000, idle_in_transaction=5_000),
    "ticker": Bounds(lock=100, statement=10_000, idle_in_transaction=5_000),
    # manage.py: a person waits for it. Migrations set their own bounds: see the command `migrate`.
    "command": Bounds(lock=5_000, statement=600_000, idle_in_transaction=60_000),
}

# PostgreSQL ends the session of a client whose machine is gone within some ten seconds, …
SERVER_KEEPALIVES = (
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=10000 -c client_connection_check_interval=5000"
)
# … and we detect a lost server as fast.
CLIENT_KEEPALIVES = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def database(url: str, *, kind: ProcessKind, is_pooled: bool) -> dict[str, Any]:
    """Return Django's settings for the database at `url`, for a process of that `kind`.

    `is_pooled`: PgBouncer is in front of it in transaction mode. It does not forward start-up
    options (docs/running.md says where the bounds are set instead), and a prepared statement or a
    cursor would stay on another connection.
    """
    parameters: dict[str, Any] = dict(conninfo_to_dict(url))
    url_options = str(parameters.pop("options", ""))
    # Compiling a statement takes longer than any of our statements runs.
    own_options = f"-c jit=off {BOUNDS[kind].options()} {SERVER_KEEPALIVES}"
    options = url_options if is_pooled else f"{own_options} {url_options}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parameters.pop("dbname", "biolayer"),
        "USER": parameters.pop("user", ""),
        "PASSWORD": parameters.pop("password", ""),
        "HOST": parameters.pop("host", ""),
        "PORT": parameters.pop("port", ""),
        # Each thread keeps a connection, and replaces it once PostgreSQL has ended it: see
        # apps/base/connections.py. A pool makes a create 10 % slower, and no process has more
        # threads than it needs.
        "CONN_MAX_AGE": None,
        "DISABLE_SERVER_SIDE_CURSORS": is_pooled,
        "OPTIONS": {
            "connect_timeout": 2,
            **CLIENT_KEEPALIVES,
            "application_name": f"biolayer {kind}",
            # Parameters are sent apart from the SQL, which PostgreSQL then parses and plans once
            # per connection: half the cost of a create.
            "server_side_binding": True,
            "prepare_threshold": None if is_pooled else 2,
            **({"options": options} if options else {}),
            # Other parameters of the URL go to libpq.
            **parameters,
        },
    }
