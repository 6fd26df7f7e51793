"""Define the value types of the API: texts, names, numbers, times, languages.

All models share them. Each type refuses an invalid value with one fault.
"""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from biolayer.networks import parse_network
from biolayer.times import format_time

MAX_LANGUAGE_CHARACTERS = 35
"""The length that every implementation must accept (RFC 5646, 4.4.1)."""

# RFC 3339, 5.6. By its notes a space may replace the T, and letters may be lower case.
RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:(?P<second>[0-5]\d|60)(?:\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)

# RFC 5646, 2.1.
LANGUAGE_TAG = re.compile(
    r"""
    (?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4}|[a-z]{5,8})   # language, extended languages
    (?:-[a-z]{4})?                                         # script
    (?:-(?:[a-z]{2}|\d{3}))?                               # region
    (?P<variants>(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*)
    (?P<extensions>(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8})+)*)
    (?:-x(?:-[a-z0-9]{1,8})+)?                             # private use
    |x(?:-[a-z0-9]{1,8})+
    """,
    re.ASCII | re.VERBOSE,
)
IRREGULAR_LANGUAGES = frozenset(
    [
        "en-gb-oed",
        "i-ami",
        "i-bnn",
        "i-default",
        "i-enochian",
        "i-hak",
        "i-klingon",
        "i-lux",
        "i-mingo",
        "i-navajo",
        "i-pwn",
        "i-tao",
        "i-tay",
        "i-tsu",
        "sgn-be-fr",
        "sgn-be-nl",
        "sgn-ch-de",
    ]
)
"""Tags that were registered before the grammar, and do not follow it."""


def _no_nul(text: str) -> str:
    # PostgreSQL cannot store NUL in text.
    if "\x00" in text:
        raise PydanticCustomError("nul_character", "must not contain the character U+0000")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be blank")
    return text


def _as_uuid(value: object) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        if isinstance(value, str) and len(value) == 36:
            return UUID(value)
    except ValueError:
        pass
    raise PydanticCustomError("wrong_type", "must be a UUID")


def _as_integer(value: object) -> object:
    """Return 600 for 600.0: JSON Schema treats both as integers (Validation 2020-12, 6.1.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_time(value: object) -> datetime:
    """Return an RFC 3339 text, or a datetime with an offset, in UTC. Refuse all else."""
    try:
        if isinstance(value, str):
            value = _time_of(value)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError(
        "wrong_type", "must be an RFC 3339 time with an offset, such as 2026-02-04T19:36:00Z"
    )


def _time_of(text: str) -> datetime:
    """Return the moment of an RFC 3339 time, truncated to the microsecond.

    A leap second is the first second of the next minute, as in POSIX and PostgreSQL. Raise
    `ValueError` for an invalid time.
    """
    match = RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(text)
    if match["second"] != "60":
        return datetime.fromisoformat(text.upper())
    before = datetime.fromisoformat(f"{text[:17]}59{text[19:]}".upper()).astimezone(UTC)
    # RFC 3339, 5.7: a leap second is the last second of a UTC day.
    if (before.hour, before.minute) != (23, 59):
        raise ValueError(text)
    return before + timedelta(seconds=1)


def _as_language(tag: str) -> str:
    """Return a well-formed tag in lower case: tags are case-insensitive (RFC 5646, 2.1.1)."""
    lowered = tag.lower()
    match = LANGUAGE_TAG.fullmatch(lowered)
    if lowered in IRREGULAR_LANGUAGES:
        return lowered
    # RFC 5646, 2.2.5 and 2.2.6: variants and the letters of extensions must be unique.
    if (
        match is None
        or _has_duplicates(match["variants"])
        or _has_duplicates(_letters(match["extensions"]))
    ):
        raise PydanticCustomError("pattern", "must be a language tag (BCP 47) such as pt-BR")
    return lowered


def _letters(extensions: str | None) -> str:
    return "".join("-" + part for part in (extensions or "").split("-") if len(part) == 1)


def _has_duplicates(subtags: str | None) -> bool:
    parts = (subtags or "").split("-")[1:]
    return len(set(parts)) < len(parts)


def _as_network(text: str) -> str:
    """Return an address or a CIDR block in its usual form, with its host bits cleared."""
    try:
        return str(parse_network(text))
    except ValueError:
        raise PydanticCustomError(
            "invalid_network", "must be an address or a CIDR block such as 192.0.2.0/24"
        ) from None


def _without_duplicates(items: list[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


Text = Annotated[str, AfterValidator(_no_nul)]
Words = Annotated[Text, AfterValidator(_not_blank), Field(json_schema_extra={"pattern": r"\S"})]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,64}$")]
Slugs = Annotated[list[Slug], Field(max_length=32)]
Language = Annotated[
    str,
    Field(
        min_length=2,
        max_length=MAX_LANGUAGE_CHARACTERS,
        # A simplified pattern: the full grammar is too long for a schema.
        json_schema_extra={"pattern": "^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$"},
    ),
    AfterValidator(_as_language),
]
INTEGRAL = BeforeValidator(_as_integer)
"""For an `int` field, placed after its bounds."""
UNIQUE = AfterValidator(_without_duplicates)
"""For a list, placed after its bounds: it keeps the first of equal items."""

Identifier = Annotated[UUID, BeforeValidator(_as_uuid)]
Moment = Annotated[datetime, BeforeValidator(_as_time)]
Timestamp = Annotated[Moment, PlainSerializer(format_time, return_type=str, when_used="json")]
"""A `Moment` in a response."""

Urgency = Literal["low", "normal", "high", "critical"]
Format = Literal["structured_json", "text", "file"]
Presence = Literal["available", "busy", "away", "offline"]
OfferMode = Literal["sequential", "broadcast"]


class CannotDo(StrEnum):
    """Why a worker cannot do a task."""

    MISSING_SKILL = "missing_skill"  # it takes a skill that the worker lacks
    NO_ACCESS = "no_access"  # to a place, a system or a person
    NO_TIME = "no_time"
    UNCLEAR = "unclear"  # the instructions do not say what to do
    UNSAFE = "unsafe"
    CONFLICT_OF_INTEREST = "conflict_of_interest"
    WRONG_PLACE = "wrong_place"  # the worker is not where the task is
    OTHER = "other"


LASTING = frozenset(
    {
        CannotDo.MISSING_SKILL,
        CannotDo.NO_ACCESS,
        CannotDo.UNSAFE,
        CannotDo.CONFLICT_OF_INTEREST,
        CannotDo.WRONG_PLACE,
    }
)
"""With these the task is not offered to the worker again."""

NetworkBlock = Annotated[
    str,
    Field(
        min_length=2,
        max_length=49,
        # A simplified pattern, as that of `Language`.
        json_schema_extra={"pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"},
    ),
    AfterValidator(_as_network),
]
"""An address or a network of IPv4 or IPv6; an address becomes a network of its own."""

RoleName = Literal["worker", "viewer", "editor", "manager", "admin"]
ClientScopeName = Literal[
    "tasks:read",
    "tasks:create",
    "tasks:cancel",
    "tasks:manage",
    "tasks:review",
    "webhooks:read",
    "webhooks:manage",
    "pools:read",
    "pools:manage",
    "evidence:read",
    "evidence:unverified",
    "organisation:read",
    "organisation:manage",
    "credentials:read",
    "credentials:manage",
    "audit:read",
]
"""What an OAuth client may call."""
ScopeName = Literal[ClientScopeName, "work"]
"""What a credential may call. A test compares them with `apps.accounts.scopes`."""
