"""The wire of pools and workers: what those who run pools may send, and what workers say of
themselves.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from biolayer.contract import EscalationPolicy, Model, dig
from biolayer.errors import Fault, pointer
from biolayer.values import (
    INTEGRAL,
    Identifier,
    Language,
    Moment,
    OfferMode,
    Presence,
    Slug,
    Text,
    Urgency,
    Words,
)

MAX_SNOOZE_SECONDS = 86_400
SLUG = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)

WorkerKind = Literal["human", "agent"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    # `localtime` is a link that some machines have among the zones, each to another one.
    return frozenset(available_timezones()) - {"localtime"}


def _known_zone(name: str) -> str:
    if name not in _time_zones():
        raise PydanticCustomError("unknown_time_zone", "must be a zone such as Europe/Berlin")
    return name


def _forward(span: list[str]) -> list[str]:
    if span[0] >= span[1]:
        raise PydanticCustomError("ends_before_it_begins", "must end after it begins, the same day")
    return span


def _apart(spans: list[list[str]]) -> list[list[str]]:
    """In the order of the day."""
    in_order = sorted(spans)
    if any(later[0] < earlier[1] for earlier, later in pairwise(in_order)):
        raise PydanticCustomError("overlap", "must not overlap")
    return in_order


def _once_each(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _https_only(url: str) -> str:
    """A link that people follow: nothing is fetched from it."""
    try:
        parts = urlsplit(url)
        is_odd = not parts.hostname or parts.port == 0
    except ValueError:
        raise PydanticCustomError("invalid_url", "is not a URL") from None
    if parts.scheme != "https":
        raise PydanticCustomError("scheme_not_allowed", "must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError("credentials_in_url", "must not contain credentials")
    if is_odd:
        raise PydanticCustomError("invalid_url", "needs a host")
    return url


Name = Annotated[Words, Field(max_length=200)]
Description = Annotated[Text, Field(max_length=2000)]
OfferSeconds = dict[Urgency, Annotated[int, Field(ge=1, le=86_400), INTEGRAL]]
WorkSeconds = Annotated[int, Field(ge=1, le=86_400 * 30), INTEGRAL]
BroadcastTo = Annotated[int, Field(ge=2, le=50), INTEGRAL]
OffersPerWindow = Annotated[int, Field(ge=1, le=1000), INTEGRAL]
OfferWindowSeconds = Annotated[int, Field(ge=60, le=86_400), INTEGRAL]
MissesUntilAway = Annotated[int, Field(ge=1, le=100), INTEGRAL]
Costs = Annotated[dict[Slug, Annotated[int, Field(ge=1, le=100), INTEGRAL]], Field(max_length=200)]
PoolIds = Annotated[list[Identifier], Field(max_length=50)]

Skills = Annotated[list[Slug], Field(max_length=100), AfterValidator(_once_each)]
SkillLevels = dict[Slug, Annotated[int, Field(ge=1, le=5), INTEGRAL]]
Languages = Annotated[list[Language], Field(max_length=32), AfterValidator(_once_each)]
TrustLevel = Annotated[int, Field(ge=0, le=5), INTEGRAL]
Rating = Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]
Capacity = Annotated[int, Field(ge=1, le=100), INTEGRAL]
TimeOfDay = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
Span = Annotated[list[TimeOfDay], Field(min_length=2, max_length=2), AfterValidator(_forward)]
Hours = dict[
    Weekday, Annotated[list[Span], Field(min_length=1, max_length=24), AfterValidator(_apart)]
]
TimeZone = Annotated[Text, Field(max_length=64), AfterValidator(_known_zone)]
DocumentUrl = Annotated[
    str, Field(max_length=2048, pattern=r"^[\x21-\x5b\x5d-\x7e]+$"), AfterValidator(_https_only)
]


class HeldCertificate(Model):
    """Proof of something that a worker may do; it stops counting at the second it expires."""

    code: Slug
    issuer: Annotated[Text, Field(max_length=200)] = ""
    expires_at: Moment | None = None
    document_url: DocumentUrl | None = None


def _coded_once(held: list[HeldCertificate]) -> list[HeldCertificate]:
    if len({one.code for one in held}) < len(held):
        raise PydanticCustomError("duplicate", "must not have a code twice")
    return held


Certificates = Annotated[list[HeldCertificate], Field(max_length=100), AfterValidator(_coded_once)]


class PoolCreation(Model):
    """The body of `POST /v1/pools`."""

    name: Name
    description: Description = ""
    offer_seconds: OfferSeconds = {}
    work_seconds: WorkSeconds = 3600
    offer_mode: OfferMode = "sequential"
    broadcast_to: BroadcastTo = 5
    offers_per_window: OffersPerWindow | None = None
    offer_window_seconds: OfferWindowSeconds = 3600
    misses_until_away: MissesUntilAway | None = 3
    costs: Costs = {}
    # None: a task that nobody takes waits.
    escalation: EscalationPolicy | None = None


_UNCHANGED: Any = None
"""Stands where nothing was given. It is never looked at: see `Change.given`."""


class Change(Model):
    """What is not given stays as it is; maps and lists are replaced whole."""

    def given(self) -> dict[str, Any]:
        """The fields that shall change, with their new values: null is a value, too."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class PoolChange(Change):
    """The body of `PATCH /v1/pools/{pool_id}`. What is not given stays as it is."""

    name: Name = _UNCHANGED
    description: Description = _UNCHANGED
    offer_seconds: OfferSeconds = _UNCHANGED
    work_seconds: WorkSeconds = _UNCHANGED
    offer_mode: OfferMode = _UNCHANGED
    broadcast_to: BroadcastTo = _UNCHANGED
    offers_per_window: OffersPerWindow | None = None
    offer_window_seconds: OfferWindowSeconds = _UNCHANGED
    misses_until_away: MissesUntilAway | None = None
    costs: Costs = _UNCHANGED
    escalation: EscalationPolicy | None = None


class NewMember(Model):
    """The body of `POST /v1/pools/{pool_id}/members`."""

    worker_id: Identifier


class WorkerCreation(Model):
    """The body of `POST /v1/workers`. A `rating` counts as if ten had been given."""

    name: Name
    kind: WorkerKind = "human"
    presence: Presence = "offline"
    skills: Skills = []
    skill_levels: SkillLevels = {}
    languages: Languages = []
    trust_level: TrustLevel = 0
    rating: Rating | None = None
    capacity: Capacity = 1
    hours: Hours = {}
    time_zone: TimeZone = "UTC"
    certifications: Certificates = []
    pool_ids: PoolIds = []


class WorkerChange(Change):
    """The body of `PATCH /v1/workers/{worker_id}`. What is not given stays as it is."""

    name: Name = _UNCHANGED
    kind: WorkerKind = _UNCHANGED
    presence: Presence = _UNCHANGED
    skills: Skills = _UNCHANGED
    skill_levels: SkillLevels = _UNCHANGED
    languages: Languages = _UNCHANGED
    trust_level: TrustLevel = _UNCHANGED
    capacity: Capacity = _UNCHANGED
    hours: Hours = _UNCHANGED
    time_zone: TimeZone = _UNCHANGED
    certifications: Certificates = _UNCHANGED


class WorkerUpdate(Model):
    """The body of `PATCH /v1/workers/me`: either or both."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    snooze_seconds: Annotated[int, Field(ge=0, le=MAX_SNOOZE_SECONDS), INTEGRAL] | None = None
    presence: Presence | None = Field(default=None, validate_default=True)

    @field_validator("presence")
    @classmethod
    def _or_a_snooze(cls, presence: Presence | None, info: ValidationInfo) -> Presence | None:
        # A snooze that is faulty is not in the data; its own fault says enough.
        if presence is None and info.data.get("snooze_seconds", 0) is None:
            raise PydanticCustomError("required", "say this, or `snooze_seconds`")
        return presence


def unheld_levels(document: Any, *, skills: Sequence[str]) -> Iterable[Fault]:
    """Faults of levels for skills that a worker does not have, who has `skills` unless the document
    gives others.
    """
    held = document.get("skills", skills) if isinstance(document, Mapping) else skills
    levels = dig(document, "skill_levels")
    if not isinstance(held, Sequence) or not isinstance(levels, Mapping):
        return
    for skill in levels:
        if skill not in held and SLUG.fullmatch(skill):
            place = pointer("skill_levels", skill)
            yield Fault(place, "unknown_skill", "is none of the worker's skills")
