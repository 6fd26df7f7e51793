"""Define column types that the apps share."""

from decimal import Decimal
from typing import Any

import orjson
from django.db import models
from psycopg.types.json import Jsonb


class JSON(models.JSONField):
    """Store jsonb, written with orjson, several times faster than Django's encoder."""

    def get_db_prep_value(
        self,
        value: Any,
        connection: Any,
        prepared: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        if value is None or hasattr(value, "as_sql"):
            return super().get_db_prep_value(value, connection, prepared)
        return as_jsonb(value)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        # By the parser that the API reads requests with: Python's own parser makes integers of any
        # size, which orjson could not write again.
        return None if value is None else orjson.loads(value)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        return self.get_db_prep_value(value, connection) if value is not None else None

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "apps.base.fields.JSON", args, kwargs


class JSONText(models.Field):  # type: ignore[type-arg]
    """Store JSON as text, as it was written: jsonb sorts the members of objects.

    Nothing in SQL looks into it. None is NULL.
    """

    def db_type(self, connection: Any) -> str:
        return "text"

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else orjson.loads(value)


class Numeric(models.DecimalField):  # type: ignore[type-arg]
    """Store an exact decimal number: PostgreSQL's `numeric`, without bounds or rounding."""

    def check(self, **kwargs: Any) -> list[Any]:
        return []  # Django's own checks require bounds.

    def db_type(self, connection: Any) -> str:
        return "numeric"

    def to_python(self, value: Any) -> Decimal | None:
        """Convert a float to the decimal that it is printed as: 4.796, not 4.79600000000000026."""
        return None if value is None else Decimal(str(value))


class Xid8(models.Field):  # type: ignore[type-arg]
    """Store PostgreSQL's 64-bit transaction id."""

    def db_type(self, connection: Any) -> str:
        return "xid8"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> int | None:
        return None if value is None else int(value)


class Snapshot(models.Field):  # type: ignore[type-arg]
    """Store which transactions a statement saw: those that had ended when it began."""

    def db_type(self, connection: Any) -> str:
        return "pg_snapshot"


class CurrentXid(models.Func):
    """Evaluate to the id of the present transaction."""

    function = "pg_current_xact_id"
    output_field = Xid8()


def as_jsonb(value: Any) -> Any:
    """Return `value` as a jsonb parameter."""
    return Jsonb(value, dumps=orjson.dumps)


class OfVersion(models.Func):
    """Replace the version of a UUID: its 15th character."""

    template = "overlay((%(expressions)s)::text placing '%(version)s' from 15 for 1)::uuid"
    output_field = models.UUIDField()
