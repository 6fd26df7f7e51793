"""Read API keys with their secrets, without what the secrets are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.grants import Limits
from apps.accounts.keys import ID_LENGTH
from apps.accounts.models import ApiKey
from apps.accounts.principal import Principal
from apps.accounts.sandbox_ids import sandbox_id
from apps.accounts.scopes import Scope
from biolayer.errors import NotFound

# How long a key that has expired or was revoked is still listed.
ENDED_KEY_LISTED = timedelta(days=30)
MAX_CREATORS = 8


@dataclass(frozen=True, slots=True)
class ListedKey:
    """Hold a key: its first row, and its secrets, newest first."""

    first: ApiKey
    secrets: Sequence[ApiKey]

    @property
    def current(self) -> ApiKey:
        """Return the newest secret, whose end is that of the key."""
        return self.secrets[0]

    @property
    def last_used_at(self) -> datetime | None:
        times = [row.last_used_at for row in self.secrets if row.last_used_at is not None]
        return max(times, default=None)

    def status(self, *, at: datetime) -> str:
        """Return `active`, `expired` or `revoked`."""
        if self.current.revoked_at is not None:
            return "revoked"
        return "active" if is_active(self.current, at=at) else "expired"

    def active_secrets(self, *, at: datetime) -> list[ApiKey]:
        """Return the secrets that authenticate."""
        return [row for row in self.secrets if is_active(row, at=at)]


def is_active(row: ApiKey, *, at: datetime) -> bool:
    """Return whether a secret authenticates."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > at)


def visible_keys(actor: Principal) -> "QuerySet[ApiKey]":
    """Return the first rows of the organisation's keys that the actor may see, test keys included.

    A credential that is restricted to pools sees the keys of these pools only.
    """
    rows = ApiKey.objects.filter(original=None)
    if actor.pool_ids is not None:
        pools = [*actor.pool_ids]
        return rows.filter(organisation_id=actor.organisation_id, pool_ids__contained_by=pools)
    sides = {actor.organisation_id, sandbox_id(actor.organisation_id)}
    return rows.filter(organisation_id__in=sides)


def api_keys(*, actor: Principal, at: datetime) -> "QuerySet[ApiKey]":
    """Return the first rows of the keys that have not ended 30 days ago, newest first.

    Raise `ScopeMissing`, `RoleTooLow`.
    """
    actor.require(Scope.CREDENTIALS_READ)
    since = at - ENDED_KEY_LISTED
    listed = ApiKey.objects.filter(
        Q(id=OuterRef("id")) | Q(original=OuterRef("id")),
        Q(revoked_at=None) | Q(revoked_at__gt=since),
        Q(expires_at=None) | Q(expires_at__gt=since),
    )
    return visible_keys(actor).filter(Exists(listed)).order_by("-created_at", "-id")


def api_key(*, actor: Principal, key_id: str) -> ListedKey:
    """Return a key. Raise `NotFound`, `ScopeMissing`, `RoleTooLow`."""
    actor.require(Scope.CREDENTIALS_READ)
    first = visible_keys(actor).filter(id=checked_id(key_id)).first()
    if first is None:
        raise NotFound("API key")
    return with_secrets([first])[0]


def checked_id(key_id: str) -> str:
    """Return the id of a key. Raise `NotFound` for a text that is none."""
    if not (len(key_id) == ID_LENGTH and key_id.isascii() and key_id.isalnum()):
        raise NotFound("API key")
    return key_id


def with_secrets(first_rows: Iterable[ApiKey]) -> list[ListedKey]:
    """Return keys by their first rows, in the same order."""
    secrets = {row.id: [row] for row in first_rows}
    later = ApiKey.objects.filter(original__in=[*secrets]).order_by("created_at", "id")
    for row in later:
        secrets[str(row.original_id)].insert(0, row)
    return [ListedKey(rows[-1], rows) for rows in secrets.values()]


def limits_of(actor: Principal) -> Limits:
    """Return the networks and the end of the key that the actor calls with, if it is a key."""
    first = ApiKey.objects.filter(organisation_id=actor.organisation_id, id=actor.key_id or None)
    return next(map(own_limits, with_secrets(first)), Limits())


def own_limits(key: ListedKey) -> Limits:
    """Return what limits a caller with this key."""
    return Limits(key.first.allowed_networks or (), key.current.expires_at)


@dataclass(frozen=True, slots=True)
class Creator:
    """Say who is behind a key: a member, or a worker by its own key; None: neither."""

    member_id: UUID | None = None
    worker_id: UUID | None = None


def creator_of_key(*, key_id: str) -> Creator:
    """Return who is behind a key: it may have been created by a key that they created.

    `MAX_CREATORS` keys are followed. Behind a key of the shell, of an application, or without a key
    there is no one.
    """
    for _ in range(MAX_CREATORS):
        creators = ApiKey.objects.filter(id=key_id).values_list("created_by", flat=True)
        kind, _, id_ = (creators.first() or "" if key_id else "").partition(":")
        match kind:
            case "member" | "oauth_member":
                return Creator(member_id=UUID(id_.partition(":")[0]))
            case "worker":
                return Creator(worker_id=UUID(id_))
            case "api_key":
                key_id = id_
            case _:
                break
    return Creator()


# A key that a worker's key created names the worker: each key of the worker may have created it.
MAKERS = """
WITH RECURSIVE made (made_by) AS (
    SELECT %(credential)s::text
    UNION
    SELECT maker.created_by FROM made, LATERAL (
        SELECT created_by FROM accounts_apikey
        WHERE made_by LIKE 'api_key:%%' AND id = substr(made_by, 9)
        UNION ALL
        SELECT created_by FROM accounts_apikey
        WHERE made_by LIKE 'worker:%%' AND organisation_id = %(organisation_id)s
            AND worker_id::text = substr(made_by, 8)
        UNION ALL
        SELECT created_by FROM accounts_oauthapplication
        WHERE made_by LIKE 'oauth\\_%%' AND organisation_id = %(organisation_id)s
            AND client_id = split_part(made_by, ':', -1)
    ) maker
)
SELECT made_by FROM made WHERE made_by <> ''
"""


def makers_of(*, organisation_id: UUID, credential: str) -> frozenset[str]:
    """Return a credential, who made it, who made theirs, and so on: `kind:id` each.

    `credential` is `api_key:<id>`, `oauth_application:<client>` or `oauth_member:<id>:<client>`.
    """
    with connection.cursor() as cursor:
        cursor.execute(MAKERS, {"organisation_id": organisation_id, "credential": credential})
        return frozenset(made_by for (made_by,) in cursor.fetchall())
