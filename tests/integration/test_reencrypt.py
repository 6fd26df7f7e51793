"""Test secrets under several encryption keys: which open, which fail, and reencryption."""

import re
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.management import call_command

from apps.accounts.models import User
from apps.accounts.sessions import SessionStore
from apps.base import crypto, reencryption
from apps.notices.services import public_push_key
from apps.webhooks import services
from apps.webhooks.models import Attempt, Delivery, Destination, SigningKey
from tests.factories import House
from tests.integration.test_deliveries import callback
from tests.notice_steps import bob_signs_in, send_all, subscribed
from tests.receiver import Receiver

AUTH = {"type": "bearer", "token": "s3cret-of-the-receiver"}


@pytest.fixture
def keys(settings: Any) -> list[str]:
    """Return the first key, and another that replaces it."""
    keys_made = [Fernet.generate_key().decode() for _ in range(2)]
    settings.ENCRYPTION_KEYS = keys_made[:1]
    return keys_made


def test_sealing_once__seals_equal_secrets_of_one_place_once(keys: list[str]) -> None:
    here, there = (crypto.Place(uuid4(), "table", "field") for _ in range(2))
    sealed = [("a", here), ("a", here), ("b", here), ("a", there)]
    with crypto.sealing_once():
        first, again, other, elsewhere = (crypto.seal(*one) for one in sealed)
    assert first == again
    assert len({first, other, elsewhere, crypto.seal("a", here)}) == 4
    assert [
        crypto.unseal(text, place)
        for text, (_, place) in zip((first, again, other, elsewhere), sealed, strict=True)
    ] == ["a", "a", "b", "a"]


def reencrypted() -> str:
    out = StringIO()
    call_command("reencrypt", stdout=out)
    return out.getvalue()


def test_reencrypt__uses_the_newest_key_for_everything(
    house: House,
    receiver: Receiver,
    keys: list[str],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reencryption, "PAGE", 2)
    for _ in range(5):
        house.task(**callback(receiver.url, callback_auth=AUTH))
    house.task(**callback(receiver.url))
    services.keys_of([house.organisation.id])
    first, second = keys
    settings.ENCRYPTION_KEYS = [second, first]
    assert reencrypted() == "7 secrets sealed under the newest key\n"
    assert reencrypted() == "0 secrets sealed under the newest key\n"
    settings.ENCRYPTION_KEYS = [second]
    while services.deliver_due():
        pass
    assert {request.headers.get("authorization") for request in receiver.received} == {
        f"Bearer {AUTH['token']}",
        None,
    }
    assert set(Delivery.objects.values_list("status", flat=True)) == {"succeeded"}


def test_reencrypt__names_what_no_key_opens(
    house: House, receiver: Receiver, keys: list[str], settings: Any
) -> None:
    lost = house.task(**callback(receiver.url, callback_auth=AUTH))
    settings.ENCRYPTION_KEYS = keys[1:]
    kept = house.task(**callback(receiver.url, callback_auth=AUTH))
    before = bytes(Destination.objects.get(id=lost.id).sealed)
    out, errors = StringIO(), StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("reencrypt", stdout=out, stderr=errors)
    assert ended.value.code == 1
    assert f"no key of ENCRYPTION_KEYS opens webhooks_destination {lost.id}" in errors.getvalue()
    assert bytes(Destination.objects.get(id=lost.id).sealed) == before
    assert crypto.is_current(bytes(Destination.objects.get(id=kept.id).sealed))


def test_reencrypt__second_factors_and_sessions(
    house: House, keys: list[str], settings: Any
) -> None:
    user = User.objects.create_user("wendy@northwind.example", "s3cret-pass")
    secret = get_mfa_adapter().encrypt("JBSWY3DPEHPK3PXP")
    Authenticator.objects.create(user=user, type="totp", data={"secret": secret})
    session = SessionStore()
    session["seen"] = "yes"
    session.save()
    settings.ENCRYPTION_KEYS = keys[::-1]
    assert reencrypted() == "2 secrets sealed under the newest key\n"
    assert reencrypted() == "0 secrets sealed under the newest key\n"
    settings.ENCRYPTION_KEYS = keys[1:]
    stored = Authenticator.objects.get().data["secret"]
    assert get_mfa_adapter().decrypt(stored) == "JBSWY3DPEHPK3PXP"
    assert SessionStore(session.session_key)["seen"] == "yes"


def test_every_sealed_column__is_encrypted_again() -> None:
    sealed = {
        (model._meta.db_table, field.column)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if re.search(r"(^|_)(sealed|encrypted|ciphertext)(_|$)", str(field.column))
    }
    assert sealed == reencryption.registered(), (
        "Mend: add a new column of secrets to SEALED in config/wiring.py"
    )


def test_undecryptable_key__fails_its_own_organisations_deliveries_only(
    house: House, receiver: Receiver
) -> None:
    from apps.accounts.selectors import authenticate_key
    from apps.base import clock
    from apps.tasks.services import create_task
    from tests.factories import contract

    services.keys_of([house.organisation.id])
    SigningKey.objects.filter(kind="v1").update(sealed=b"of a key that was lost")
    broken = house.task(**callback(receiver.url))
    known = authenticate_key(house.charlie.key)
    assert known is not None
    well = create_task(
        actor=known.principal, document=contract(**callback(receiver.url)), at=clock.now()
    ).task
    while services.deliver_due():
        pass
    outcomes = dict(Attempt.objects.values_list("delivery__subject_id", "outcome"))
    assert outcomes == {broken.id: "unreadable", well.id: "ok"}
    failed = Delivery.objects.get(subject_id=broken.id)
    assert (failed.status, failed.wait) == ("pending", "retry")
    attempt = Attempt.objects.get(delivery=failed)
    assert attempt.error == "the signing key cannot be decrypted: see ENCRYPTION_KEYS"


def test_undecryptable_key__does_not_count_for_the_receiver(
    house: House, receiver: Receiver
) -> None:
    """Neither the origin's breaker nor the endpoint's failures count our own fault."""
    from datetime import timedelta

    from apps.base import clock
    from apps.webhooks.models import Origin

    house.alice.post("/v1/webhook-endpoints", {"url": receiver.url, "event_types": ["task.*"]})
    services.keys_of([house.organisation.id])
    SigningKey.objects.update(sealed=b"of a key that was lost")
    for _ in range(15):
        house.task()
    for minutes in range(3):
        services.deliver_due(at=clock.now() + timedelta(minutes=10 * minutes))
    assert Attempt.objects.filter(outcome="unreadable").count() >= 15
    endpoint, origin = Destination.objects.get(), Origin.objects.get()
    assert (endpoint.failing_since, endpoint.failure_count) == (None, 0)
    assert (origin.open_until, origin.recent) == (None, [])


def test_reencrypt__push_subscriptions_and_the_push_key(
    house: House, receiver: Receiver, keys: list[str], settings: Any
) -> None:
    bob_signs_in(house)
    browser = subscribed(house.bob.principal, receiver)
    public = public_push_key()
    settings.ENCRYPTION_KEYS = keys[::-1]
    assert reencrypted().startswith("2 secrets sealed")
    settings.ENCRYPTION_KEYS = keys[1:]
    house.offered()
    send_all()
    assert public_push_key() == public
    assert browser.opened(receiver.received[0])["title"] == "A task is offered to you"
