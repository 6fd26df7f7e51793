"""Name the SQL that knows sessions of agents: their app is above this one, and registers it.

The expressions name a run `r` and its details `x`, which are null for a task of another API.
"""

_known: dict[str, str] = {}


def register_sessions(*, session_of_run: str, is_lost: str) -> None:
    """Name the SQL of the session that has a run, and whether that session has ended.

    The first is a text, empty without a session. Called by config/wiring.py.
    """
    _known.update(session=session_of_run, is_lost=is_lost)


def session_sql() -> str:
    return _known["session"]


def is_lost_sql() -> str:
    return _known["is_lost"]
