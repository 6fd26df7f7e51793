"""Define the bodies of calls on pools and workers, and of a worker's call on itself."""

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
from biolayer.reviews import ReviewPolicy
from biolayer.values import (
    INTEGRAL,
    UNIQUE,
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
    # Some machines list `localtime`, a link to the zone of the machine.
    return frozenset(available_timezones()) - {"localtime"}


def _known_zone(name: str) -> str:
    if name not in _time_zones():
        raise PydanticCustomError("unknown_time_zone", "must be a time zone such as Europe/Berlin")
    return name


def _ends_after_start(span: list[str]) -> list[str]:
    if span[0] >= span[1]:
        raise PydanticCustomError(
            "ends_before_it_begins", "must end after its start, on the same day"
        )
    return span


def _sorted_without_overlap(spans: list[list[str]]) -> list[list[str]]:
    in_order = sorted(spans)
    if any(later[0] < earlier[1] for earlier, later in pairwise(in_order)):
        raise PydanticCustomError("overlap", "must not overlap")
    return in_order


def _https_only(url: str) -> str:
    """Return a link for people to open. The service itself never fetches it."""
    try:
        parts = urlsplit(url)
        lacks_host = not parts.hostname or parts.port == 0
    except ValueError:
        raise PydanticCustomError("invalid_url", "is not a URL") from None
    if parts.scheme != "https":
        raise PydanticCustomError("scheme_not_allowed", "must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError("credentials_in_url", "must not contain credentials")
    if lacks_host:
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

Skills = Annotated[list[Slug], Field(max_length=100), UNIQUE]
SkillLevels = dict[Slug, Annotated[int, Field(ge=1, le=5), INTEGRAL]]
Languages = Annotated[list[Language], Field(max_length=32), UNIQUE]
TrustLevel = Annotated[int, Field(ge=0, le=5), INTEGRAL]
Rating = Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]
Capacity = Annotated[int, Field(ge=1, le=100), INTEGRAL]
TimeOfDay = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
Span = Annotated[
    list[TimeOfDay], Field(min_length=2, max_length=2), AfterValidator(_ends_after_start)
]
Hours = dict[
    Weekday,
    Annotated[
        list[Span], Field(min_length=1, max_length=24), AfterValidator(_sorted_without_overlap)
    ],
]
TimeZone = Annotated[Text, Field(max_length=64), AfterValidator(_known_zone)]
DocumentUrl = Annotated[
    str,
    Field(
        max_length=2048,
        pattern=r"^[\x21-\x5b\x5d-\x7e]+$",
        json_schema_extra={"pattern": r"^[Hh][Tt][Tt][Pp][Ss]://[\x21-\x5b\x5d-\x7e]+$"},
    ),
    AfterValidator(_https_only),
]


class HeldCertificate(Model):
    """A worker's certification. It is valid until the second at which it expires."""

    code: Slug
    issuer: Annotated[Text, Field(max_length=200)] = ""
    expires_at: Moment | None = None
    document_url: DocumentUrl | None = None


class ClaimedCertificate(Model):
    """What a worker says of a certification, beside its document."""

    code: Slug
    issuer: Annotated[Text, Field(max_length=200)] = ""
    expires_at: Moment | None = None

    @field_validator("expires_at")
    @classmethod
    def _is_valid(cls, expires_at: Moment | None, info: ValidationInfo) -> Moment | None:
        now = (info.context or {}).get("now")
        if expires_at is not None and now is not None and expires_at <= now:
            raise PydanticCustomError("in_the_past", "must be in the future")
        return expires_at


class ClaimRejection(Model):
    """The body of `POST /v1/certification-claims/{claim_id}/reject`."""

    reason: Annotated[Words, Field(max_length=1000)]


def _unique_codes(certificates: list[HeldCertificate]) -> list[HeldCertificate]:
    codes = {certificate.code for certificate in certificates}
    if len(codes) < len(certificates):
        raise PydanticCustomError("duplicate", "must not contain a code twice")
    return certificates


Certificates = Annotated[
    list[HeldCertificate], Field(max_length=100), AfterValidator(_unique_codes)
]


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
    # None: a task that no worker accepts keeps waiting.
    escalation: EscalationPolicy | None = None
    # None: no submission is reviewed.
    review_policy: ReviewPolicy | None = None


_UNCHANGED: Any = None
"""A placeholder for a field that was not sent. It is never read: see `Change.sent_fields`."""


class Change(Model):
    """A partial update. Fields that are not sent keep their values; maps and lists are replaced."""

    def sent_fields(self) -> dict[str, Any]:
        """Return the fields that were sent, with their values, which may be None."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class PoolChange(Change):
    """The body of `PATCH /v1/pools/{pool_id}`. Fields that are not sent keep their values."""

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
    review_policy: ReviewPolicy | None = None


class NewMember(Model):
    """The body of `POST /v1/pools/{pool_id}/members`."""

    worker_id: Identifier


class NoteCreation(Model):
    """The body of `POST /v1/pools/{pool_id}/notes`."""

    text: Annotated[Words, Field(max_length=1000)]
    expires_at: Moment | None = None


class WorkerCreation(Model):
    """The body of `POST /v1/workers`. An initial `rating` counts as ten ratings."""

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
    """The body of `PATCH /v1/workers/{worker_id}`. Fields that are not sent keep their values."""

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
    """The body of `PATCH /v1/workers/me`: one of the fields, or several. null: not sent."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    snooze_seconds: Annotated[int, Field(ge=0, le=MAX_SNOOZE_SECONDS), INTEGRAL] | None = None
    hours: Hours | None = None
    time_zone: TimeZone | None = None
    presence: Presence | None = Field(default=None, validate_default=True)

    @field_validator("presence")
    @classmethod
    def _required_without_others(
        cls, presence: Presence | None, info: ValidationInfo
    ) -> Presence | None:
        # An invalid field is missing from the data and has a fault of its own.
        others = [info.data.get(name, 0) for name in ("snooze_seconds", "hours", "time_zone")]
        if presence is None and not any(other is not None for other in others):
            raise PydanticCustomError("required", "is required unless another field is sent")
        return presence


def unheld_levels(document: Any, *, skills: Sequence[str]) -> Iterable[Fault]:
    """Yield a fault for each level of a skill that the worker lacks.

    The worker's skills are those of the document, or `skills` if it contains none.
    """
    held_skills = document.get("skills", skills) if isinstance(document, Mapping) else skills
    levels = dig(document, "skill_levels")
    if not isinstance(held_skills, Sequence) or not isinstance(levels, Mapping):
        return
    for skill in levels:
        if skill not in held_skills and SLUG.fullmatch(skill):
            place = pointer("skill_levels", skill)
            yield Fault(place, "unknown_skill", "is not one of the worker's skills")
