"""Test the page of the signing keys: rotated, ended, and a secret that is shown once."""

from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.models import AuditEvent, BrowserSession
from apps.accounts.scopes import Role
from apps.base import clock
from apps.webhooks import services
from apps.webhooks.models import SigningKey
from tests.console.webhook_steps import Operator, operator, stranger, text_of
from tests.factories import NO_ID, House

KEYS = "/admin/webhooks/keys/"
ROTATE = "/admin/webhooks/keys/rotate"


@pytest.fixture
def editor(house: House) -> Operator:
    return operator(house)


def current(kind: str = "v1") -> SigningKey:
    return SigningKey.objects.get(kind=kind, expires_at=None)


def rotation(replaces: str = "", **changes: Any) -> dict[str, Any]:
    return {"kind": "v1", "overlap_seconds": "3600", "replaces": replaces, **changes}


def actions() -> list[str]:
    found = AuditEvent.objects.filter(action__startswith="webhook_key.").order_by("id")
    return list(found.values_list("action", flat=True))


def test_rotate__shows_the_secret_once_and_the_overlap(house: House, editor: Operator) -> None:
    services.rotate_key(actor=house.alice.principal, kind="v1", overlap_seconds=0, at=clock.now())
    before = current()
    answer = editor.post(ROTATE, status=200, **rotation(str(before.id)))
    made = answer.context["rotation"]
    assert made.secret.startswith("whsec_")
    assert answer.content.decode().count(made.secret) == 1
    assert "no-store" in answer["Cache-Control"]
    assert current().id == made.key.id
    before.refresh_from_db()
    assert before.expires_at is not None
    assert timedelta(minutes=59) < before.expires_at - clock.now() <= timedelta(hours=1)
    page = editor.get(KEYS)
    assert made.secret not in page.content.decode()
    assert made.secret not in str(list(BrowserSession.objects.values_list("session_data")))
    assert "Signs until its end" in text_of(page)
    assert "End it now" in text_of(page)
    assert actions() == ["webhook_key.rotated"] * 2


def test_rotate__of_a_form_that_is_sent_again_changes_nothing(
    house: House, editor: Operator
) -> None:
    first = editor.post(ROTATE, status=200, **rotation())
    assert first.context["rotation"].secret
    editor.post(ROTATE, **rotation())
    assert "This key was replaced meanwhile. Nothing was changed." in editor.text(KEYS)
    assert SigningKey.objects.count() == 1
    editor.post(ROTATE, **rotation(str(current().id), overlap_seconds="5"))
    assert "Choose how long" in editor.text(KEYS)
    assert SigningKey.objects.count() == 1


def test_rotate__of_a_public_key_has_no_secret(house: House, editor: Operator) -> None:
    answer = editor.post(ROTATE, status=200, **rotation(kind="v1a"))
    assert b"data-secret" not in answer.content
    assert b"whsk_" not in answer.content
    public = current("v1a").public
    page = editor.text(KEYS)
    assert public in page
    address = f"/v1/organisations/{house.organisation.id}/webhook-jwks.json"
    assert address in page
    assert editor.get(address).json()["keys"][0]["kid"] == str(current("v1a").id)


def test_end__asks_first_and_never_ends_the_current_key(house: House, editor: Operator) -> None:
    editor.post(ROTATE, status=200, **rotation())
    before = current()
    editor.post(ROTATE, status=200, **rotation(str(before.id)))
    address = f"{KEYS}{before.id}/end"
    assert "It would sign until" in editor.text(address)
    before.refresh_from_db()
    assert before.expires_at is not None
    assert before.expires_at > clock.now()
    editor.post(address)
    before.refresh_from_db()
    assert before.expires_at <= clock.now()
    assert actions()[-1] == "webhook_key.expired"
    assert "Ended" in editor.text(KEYS)
    address = f"{KEYS}{current().id}/end"
    assert editor.get(address).status_code == 302
    editor.post(address)
    assert current().expires_at is None


def test_keys__cost_few_statements(
    house: House, editor: Operator, django_assert_max_num_queries: Any
) -> None:
    editor.post(ROTATE, status=200, **rotation())
    with django_assert_max_num_queries(3):
        assert editor.get(KEYS).status_code == 200


def test_keys__of_a_viewer_are_read_only(house: House) -> None:
    viewer = operator(house, Role.VIEWER)
    assert b"rotate" not in viewer.get(KEYS).content
    viewer.post(ROTATE, status=403, **rotation())
    assert viewer.get(f"{KEYS}{NO_ID}/end").status_code == 403
    viewer.post(f"{KEYS}{NO_ID}/end", status=403)
    assert not SigningKey.objects.exists()


def test_keys__of_another_organisation_do_not_exist(house: House, editor: Operator) -> None:
    editor.post(ROTATE, status=200, **rotation())
    before = current()
    editor.post(ROTATE, status=200, **rotation(str(before.id)))
    other = stranger(house)
    other.client.raise_request_exception = False
    other.post(f"{KEYS}{before.id}/end", status=404)
    other.post(ROTATE, **rotation(str(current().id)))
    before.refresh_from_db()
    assert before.expires_at is not None
    assert before.expires_at > clock.now()
    assert SigningKey.objects.count() == 2
