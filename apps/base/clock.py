"""The only clock. Every decision is taken by the database's time, so that all machines agree.

A door gets the time with the statement that authenticates the caller (`database_now`); a job or a
command asks once with `now()`. Below that, time is an argument called `at`.
"""

from datetime import datetime

from django.db import connection
from django.db.models import DateTimeField, Func


class DatabaseNow(Func):
    """`clock_timestamp()` as an annotation: unlike `now()`, it is not frozen at BEGIN."""

    template = "clock_timestamp()"
    output_field = DateTimeField()


def now() -> datetime:
    """The database's present time, in UTC, by one statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (moment,) = cursor.fetchone()
    assert isinstance(moment, datetime)
    return moment
