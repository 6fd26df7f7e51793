"""Test signing keys: which of them sign, how long they are published, when they are deleted."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError

from apps.accounts.principal import Principal, system
from apps.accounts.scopes import Scope
from apps.api.v1.representations.webhooks import jwk_set
from apps.base import clock
from apps.webhooks import selectors, services
from apps.webhooks.models import KeyKind, SigningKey
from biolayer import signing
from biolayer.errors import RoleTooLow, ScopeMissing, SigningKeyInUse, TooManySigningKeys
from tests.factories import House

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KINDS = [kind.value for kind in KeyKind]


def rotated(house: House, kind: str = "v1", *, overlap: int = 3600, **after: float) -> Any:
    """Rotate a key some time after noon."""
    return services.rotate_key(
        actor=system("test", house.organisation.id),
        kind=kind,
        overlap_seconds=overlap,
        at=NOON + timedelta(**after),
    )


def signing_with(house: House, **after: float) -> list[str]:
    ours = house.organisation.id
    return services.keys_of([ours], at=NOON + timedelta(**after))[ours]


def secrets_of(house: House, **after: float) -> list[str]:
    return [key for key in signing_with(house, **after) if key.startswith("whsec_")]


def published(house: House, **after: float) -> list[str]:
    """Return the ids of the published keys."""
    at = NOON + timedelta(**after)
    keys = selectors.public_keys(organisation_id=house.organisation.id, at=at)
    return [str(key.key_id) for key in keys]


# --- signing --------------------------------------------------------------------------------------


def test_keys_of__creates_the_first_of_each_kind_once(house: House) -> None:
    first = signing_with(house)
    assert [key.partition("_")[0] for key in first] == ["whsec", "whsk"]
    assert signing_with(house) == first


def test_keys_of__separates_organisations(house: House) -> None:
    ours, theirs = house.organisation.id, house.strangers_pool.organisation_id
    keys = services.keys_of([ours, theirs])
    assert len({*keys[ours], *keys[theirs]}) == 4


def test_keys_of__is_one_statement_for_a_batch(
    house: House, django_assert_num_queries: Any
) -> None:
    both = [house.organisation.id, house.strangers_pool.organisation_id]
    services.keys_of(both)
    with django_assert_num_queries(1):
        services.keys_of(both)


def test_keys__are_encrypted_at_rest(house: House) -> None:
    for key in signing_with(house):
        _, _, encoded = key.partition("_")
        assert all(encoded.encode() not in bytes(row.sealed) for row in SigningKey.objects.all())


# --- rotation over time ---------------------------------------------------------------------------


def test_earlier_key__signs_until_its_end(house: House) -> None:
    old = rotated(house, minutes=0).secret
    new = rotated(house, overlap=60, minutes=10).secret
    assert secrets_of(house, minutes=10) == [new, old]
    assert secrets_of(house, minutes=10, seconds=59.9) == [new, old]
    assert secrets_of(house, minutes=11) == [new]


def test_seven_days__is_the_longest_overlap(house: House) -> None:
    old = rotated(house).secret
    new = rotated(house, overlap=604_800).secret
    assert secrets_of(house, days=6, hours=23) == [new, old]
    assert secrets_of(house, days=7, seconds=1) == [new]


@pytest.mark.parametrize("kind", KINDS)
def test_rotate_key__refused_for_an_eleventh_active_key(house: House, kind: str) -> None:
    for minute in range(10):
        rotated(house, kind, minutes=minute)
    with pytest.raises(TooManySigningKeys):
        rotated(house, kind, minutes=10)
    assert SigningKey.objects.count() == 10
    # The first key's overlap ends an hour after the second was created.
    assert len(rotated(house, kind, minutes=61).earlier) == 9


def test_rotation__that_waited_for_another_is_the_later_one(house: House) -> None:
    """It has the time at which its credential was read, before it waited for the lock."""
    first = rotated(house, seconds=1)
    late = rotated(house, overlap=0, seconds=0)
    assert late.key.created_at > first.key.created_at
    (ended,) = late.earlier
    assert (ended.id, ended.expires_at) == (first.key.id, late.key.created_at)
    assert secrets_of(house, seconds=2) == [late.secret]


def test_database__allows_one_key_of_a_kind_without_end(house: House) -> None:
    key = rotated(house).key
    with pytest.raises(IntegrityError, match="signing_key_one_of_a_kind_without_end"):
        SigningKey.objects.create(organisation_id=key.organisation_id, sealed=b"x")


def test_expire_key__always_refuses_the_one_without_end(house: House) -> None:
    key = rotated(house).key
    for days in (0, 400):
        with pytest.raises(SigningKeyInUse):
            services.expire_key(
                actor=system("test", house.organisation.id),
                key_id=key.id,
                at=NOON + timedelta(days=days),
            )


def with_scopes(house: House, scopes: Collection[Scope], role: str = "admin") -> Principal:
    ours = house.organisation.id
    return Principal("api_key", "k", "k", ours, role, frozenset(scope.value for scope in scopes))


def test_services__require_scope_and_role(house: House) -> None:
    reader = with_scopes(house, [Scope.WEBHOOKS_READ])
    viewer = with_scopes(house, [Scope.WEBHOOKS_MANAGE], role="viewer")
    for actor, refusal in ((reader, ScopeMissing), (viewer, RoleTooLow)):
        with pytest.raises(refusal):
            services.rotate_key(actor=actor, kind="v1", overlap_seconds=0, at=NOON)
        with pytest.raises(refusal):
            services.expire_key(actor=actor, key_id=UUID(int=7), at=NOON)
    with pytest.raises(ScopeMissing):
        selectors.signing_keys(actor=viewer, at=NOON)
    assert SigningKey.objects.count() == 0


# --- after its end --------------------------------------------------------------------------------


def test_expired_key__stays_published_longer_than_an_attempt_lasts(house: House) -> None:
    """A delivery that is signed just before its key's end arrives after it."""
    old = rotated(house, "v1a").key
    new = rotated(house, "v1a", overlap=60, minutes=1).key
    both = [str(new.id), str(old.id)]
    assert [published(house, minutes=2, seconds=seconds) for seconds in (0, 45, 119)] == [both] * 3
    assert published(house, minutes=2, seconds=120) == [str(new.id)]
    # It is published, but it no longer signs.
    assert len(signing_with(house, minutes=2)) == 2


def test_key_that_was_ended__is_published_for_120_seconds(house: House) -> None:
    old = rotated(house, "v1a").key
    rotated(house, "v1a")
    actor = system("test", house.organisation.id)
    services.expire_key(actor=actor, key_id=old.id, at=NOON)
    assert str(old.id) in published(house, seconds=119)
    assert str(old.id) not in published(house, seconds=120)


def test_delete_expired_keys__deletes_what_expired_more_than_30_days_ago(house: House) -> None:
    old = rotated(house).key
    rotated(house, overlap=0)
    assert services.delete_expired_keys(at=NOON + timedelta(days=30)) == 0
    assert services.delete_expired_keys(at=NOON + timedelta(days=30, seconds=1)) == 1
    assert not SigningKey.objects.filter(id=old.id).exists()
    assert services.delete_expired_keys(at=NOON + timedelta(days=4000)) == 0


def test_public_keys__verify_what_the_organisation_signs(house: House) -> None:
    rotated(house, "v1a")
    rotated(house, "v1a")
    body, now = b"{}", clock.now()
    keys = selectors.public_keys(organisation_id=house.organisation.id, at=NOON)
    document = jwk_set(keys).model_dump()
    for key in (key for key in signing_with(house) if key.startswith("whsk_")):
        headers = signing.sign(secrets=[key], message_id="msg_1", at=now, body=body)
        signing.verify(
            secrets=signing.keys_from_jwks(document), headers=headers, body=body, now=now
        )
