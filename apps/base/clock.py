"""Read the time. Every decision uses the database's clock, so that all machines agree.

An API gets the time with the statement that authenticates the caller (`DatabaseNow`); a job or a
command calls `now()` once. Services get the time as an argument called `at`.
"""

from datetime import datetime

from django.db import connection
from django.db.models import DateTimeField, Func


class DatabaseNow(Func):
    """Annotate rows with `clock_timestamp()`: unlike `now()`, it is not frozen at BEGIN."""

    template = "clock_timestamp()"
    output_field = DateTimeField()


def now() -> datetime:
    """Return the database's present time, in UTC, by one statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (moment,) = cursor.fetchone()
    assert isinstance(moment, datetime)
    return moment
