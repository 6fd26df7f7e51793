"""How Django reaches PostgreSQL, and how long anything may wait there.

No statement, lock or transaction of ours waits without bound: a transaction that somebody forgot
must cost its own rows and nothing else. How long the bounds are depends on the kind of process.
"""

from dataclasses import dataclass
from typing import Any, Literal

from psycopg.conninfo import conninfo_to_dict

ProcessKind = Literal["web", "stream", "worker", "ticker", "command"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Milliseconds; 0 is no bound."""

    # How long a statement waits for a lock that another transaction holds.
    lock: int
    # How long a statement may run.
    statement: int
    # How long a transaction may be open with nothing to do: a stopped process gives up its locks.
    idle_in_transaction: int

    def options(self) -> str:
        """The bounds as libpq's `options`."""
        return " ".join(
            f"-c {name}={milliseconds}"
            for name, milliseconds in (
                ("lock_timeout", self.lock),
                ("statement_timeout", self.statement),
                ("idle_in_transaction_session_timeout", self.idle_in_transaction),
            )
        )


BOUNDS: dict[ProcessKind, Bounds] = {
    # Half a second: eight calls that wait for a held row take all eight threads of a process.
    "web": Bounds(lock=500, statement=10_000, idle_in_transaction=5_000),
    "stream": Bounds(lock=500, statement=10_000, idle_in_transaction=5_000),
    # A drain passes over what is held and comes back to it: see apps/base/drains.py.
    "worker": Bounds(lock=100, statement=20_000, idle_in_transaction=5_000),
    "ticker": Bounds(lock=100, statement=10_000, idle_in_transaction=5_000),
    # manage.py: a person waits for it. Migrations set their own: see the command `migrate`.
    "command": Bounds(lock=5_000, statement=600_000, idle_in_transaction=60_000),
}

ALIVE = (
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=10000 -c client_connection_check_interval=5000"
)
"""PostgreSQL ends the session of a client whose machine is gone within some ten seconds …"""

KEEPALIVES = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""… and we notice as soon when its machine is."""


def database(url: str, *, kind: ProcessKind, is_pooled: bool) -> dict[str, Any]:
    """Django's settings of the database at `url`, for a process of that `kind`.

    `is_pooled`: PgBouncer stands before it in transaction mode. It passes on no start-up options
    (docs/running.md says where the bounds are set then), and a prepared statement or a cursor would
    be left on another connection.
    """
    given: dict[str, Any] = dict(conninfo_to_dict(url))
    own = str(given.pop("options", ""))
    # To compile a statement takes longer than any of ours runs.
    ours = f"-c jit=off {BOUNDS[kind].options()} {ALIVE}"
    options = own if is_pooled else f"{ours} {own}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given.pop("dbname", "biolayer"),
        "USER": given.pop("user", ""),
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": given.pop("port", ""),
        # A connection for each thread, kept, and replaced once PostgreSQL has ended it: see
        # apps/base/connections.py. A pool costs a create a tenth more, and no process has more
        # threads than it needs.
        "CONN_MAX_AGE": None,
        "DISABLE_SERVER_SIDE_CURSORS": is_pooled,
        "OPTIONS": {
            "connect_timeout": 2,
            **KEEPALIVES,
            "application_name": f"biolayer {kind}",
            # Parameters travel apart from the SQL, which PostgreSQL then parses and plans once for
            # each connection: half the cost of a create.
            "server_side_binding": True,
            "prepare_threshold": None if is_pooled else 2,
            **({"options": options} if options else {}),
            # What else the URL says goes to libpq.
            **given,
        },
    }
