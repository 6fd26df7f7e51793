"""Test that failing deliveries leave one line in the log for each origin, however many fail."""

import pytest

from apps.webhooks import services
from apps.webhooks.services.pipeline import failure_log as module
from tests.factories import House
from tests.receiver import Receiver, Reply


@pytest.fixture(autouse=True)
def empty_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.failure_log, "_logged", {})


def test_failure__is_logged_once_for_an_origin(
    house: House, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.reply = lambda _: Reply(500)
    for _ in range(3):
        house.task(handoff={"callback_url": f"{receiver.url}/hook?token=s3cret"})
    services.deliver_due()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "apps.webhooks"]
    assert line.startswith(f"task.created to {receiver.url}/hook failed: HTTP 500; again at 20")
    assert "s3cret" not in caplog.text


def test_failure__of_a_stopped_receiver(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.task(handoff={"callback_url": "http://127.0.0.1:9/hook"})
    services.deliver_due()
    assert "task.created to http://127.0.0.1:9/hook failed: " in caplog.text
    assert "refused" in caplog.text


def test_success__is_not_logged(
    house: House, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    house.task(handoff={"callback_url": f"{receiver.url}/hook"})
    services.deliver_due()
    assert not [record for record in caplog.records if record.name == "apps.webhooks"]
