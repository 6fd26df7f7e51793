"""Define the bodies of `/v1/organisation`, `/v1/members` and `/v1/invitations`."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from biolayer.contract import Model
from biolayer.requests.pools import (
    Capacity,
    Change,
    Languages,
    Name,
    PoolIds,
    SkillLevels,
    Skills,
    TimeZone,
    TrustLevel,
)
from biolayer.values import INTEGRAL, UNIQUE, Identifier, NetworkBlock, RoleName, Text, Words

# What Django and mail servers accept; the mail shows whether the address exists.
ADDRESS = re.compile(
    r"[^\s@<>\"(),:;\\\[\]]{1,64}@([a-z0-9](-*[a-z0-9])*\.)+[a-z0-9](-*[a-z0-9])+", re.I | re.A
)
_UNCHANGED: Any = None
"""A placeholder for a field that was not sent. It is never read: see `Change.sent_fields`."""


def _address(text: str) -> str:
    if ADDRESS.fullmatch(text) is None:
        raise PydanticCustomError("not_an_email", "must be an e-mail address")
    return text.lower()


Networks = Annotated[list[NetworkBlock], Field(max_length=100), UNIQUE]
Email = Annotated[
    Text,
    Field(min_length=3, max_length=254, json_schema_extra={"format": "email"}),
    AfterValidator(_address),
]


class OrganisationChange(Change):
    """The body of `PATCH /v1/organisation`. Fields that are not sent keep their values."""

    name: Annotated[Words, Field(max_length=200)] = _UNCHANGED
    retain_days: Annotated[int, Field(ge=1, le=3_650), INTEGRAL] = _UNCHANGED
    requires_second_factor: bool = _UNCHANGED
    allowed_networks: Networks = _UNCHANGED


class MemberChange(Model):
    """The body of `PATCH /v1/members/{member_id}`."""

    role: RoleName


class WorkerLink(Model):
    """The body of `PUT /v1/members/{member_id}/worker`."""

    worker_id: Identifier


class InvitedWorker(Model):
    """What the person is as a worker, once they join. Without a name: their own."""

    pool_ids: Annotated[PoolIds, Field(min_length=1)]
    name: Name | None = None
    skills: Skills = []
    skill_levels: SkillLevels = {}
    languages: Languages = []
    trust_level: TrustLevel = 0
    capacity: Capacity = 1
    time_zone: TimeZone = "UTC"


class InvitationCreation(Model):
    """The body of `POST /v1/invitations`."""

    email: Email
    role: RoleName = "viewer"
    worker: InvitedWorker | None = None
