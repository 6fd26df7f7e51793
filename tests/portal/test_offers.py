"""Test the page of an offer: accepted, declined, and what became of one that is over."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.base import clock
from apps.matching import services as matching
from apps.matching.models import Offer
from apps.pools.models import Pool, Worker
from apps.portal.reasons import REASONS
from apps.reviews import services as reviews
from apps.tasks import services as tasks
from apps.tasks.models import Run
from biolayer.values import CannotDo
from tests.factories import NO_ID, OUTPUT, SCHEMA, House, soon, tasks_submission, worker_in
from tests.portal.steps import Desk, desk_of


@pytest.fixture
def bob(house: House) -> Desk:
    """Provide Bob's browser."""
    return desk_of(house)


def broadcast(house: House, **task: Any) -> tuple[Offer, Any]:
    """Offer a task to Bob and to another worker. Return Bob's offer, and the other's key."""
    Pool.objects.filter(id=house.pool.id).update(offer_mode="broadcast")
    _, key = worker_in(house.pool, name="Jonas Okafor")
    house.queued(**task)
    assert matching.match_queued() == 1
    return Offer.objects.get(worker=house.bobs_worker), key


def accept_as(key: Any, worker_id: Any) -> None:
    offer = Offer.objects.get(worker_id=worker_id, status="open")
    matching.accept_offer(actor=key.principal, offer_id=offer.id, at=clock.now())


# --- an open one ----------------------------------------------------------------------------------


def test_offer__shows_all_that_decides(house: House, bob: Desk) -> None:
    Worker.objects.filter(id=bob.worker.id).update(
        skills=["phone_verification"], skill_levels={"phone_verification": 2}, missed_in_row=1
    )
    offer = house.offered(
        title="Call the owner",
        instructions="Dial. " * 200,
        sla={"deadline": soon(days=2).isoformat(), "target_latency_seconds": 600},
        context={"risk_notes": ["Potential compromise"], "constraints": ["Do not name the case"]},
        requirements={"skill_levels": {"phone_verification": 2}, "skills": ["phone_verification"]},
        output={"schema": SCHEMA, "evidence_required": True},
    )
    text = bob.text(f"/portal/offers/{offer.id}/")
    for part in (
        "Call the owner",
        "Potential compromise",
        "Do not name the case",
        "You see all of it when you accept.",
        "Phone verification ( level 2 )",
        "at least one file, such as a photo",
        "After 3 missed offers in a row you are set to Away. You have missed 1 so far.",
        "not known yet: no such task was done lately",
    ):
        assert part in text.replace("(level 2)", "( level 2 )"), part


def test_reasons__are_all_that_there_are() -> None:
    assert sorted(REASONS) == sorted(CannotDo)


def test_estimate__is_how_long_such_tasks_took(house: House, bob: Desk) -> None:
    at = clock.now() - timedelta(hours=1)
    for _ in range(3):
        run = house.started(at=at)
        tasks.submit_run(
            actor=house.bob.principal,
            run_id=run.id,
            submission=tasks_submission(run.epoch, OUTPUT),
            at=at + timedelta(minutes=12),
        )
        reviews.verify_submitted()
    offer = house.offered()
    assert "about 12 minutes" in bob.text()
    assert "about 12 minutes, as such tasks took lately" in bob.text(f"/portal/offers/{offer.id}/")


def test_offer__at_most_6_statements(house: House, bob: Desk) -> None:
    path = f"/portal/offers/{house.offered().id}/"
    bob.get(path)
    with CaptureQueriesContext(connection) as captured:
        assert bob.get(path).status_code == 200
    assert len(captured) <= 6, captured.captured_queries


def test_offer__hostile_texts_are_text(house: House, bob: Desk) -> None:
    hostile = "<script>alert(1)</script>"
    offer = house.offered(
        title=hostile, instructions=hostile, context={"risk_notes": [hostile, "\u202ex"]}
    )
    for path in ("/portal/", f"/portal/offers/{offer.id}/"):
        page = bob.get(path).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_accept__gives_the_run(house: House, bob: Desk) -> None:
    offer = house.offered()
    answer = bob.post(f"/portal/offers/{offer.id}/accept/")
    assert (answer.status_code, answer["Location"]) == (302, f"/portal/runs/{offer.run_id}/")
    run = Run.objects.get(id=offer.run_id)
    assert (run.worker_id, run.status, run.epoch) == (bob.worker.id, "claimed", 1)


def test_accept__twice_is_once(house: House, bob: Desk) -> None:
    offer = house.offered()
    for _ in range(2):
        answer = bob.client.post(
            f"/portal/offers/{offer.id}/accept/",
            {"csrfmiddlewaretoken": str(bob.get().context["csrf_token"])},
            follow=False,
        )
        assert answer.status_code == 302
    assert answer["Location"] == f"/portal/offers/{offer.id}/"
    assert bob.get(answer["Location"])["Location"] == f"/portal/runs/{offer.run_id}/"
    assert Run.objects.get(id=offer.run_id).epoch == 1
    assert Offer.objects.filter(status="accepted").count() == 1


def test_accept__needs_the_token(house: House, bob: Desk) -> None:
    offer = house.offered()
    assert bob.client.post(f"/portal/offers/{offer.id}/accept/").status_code == 403
    assert bob.get(f"/portal/offers/{offer.id}/accept/").status_code == 405
    offer.refresh_from_db()
    assert offer.status == "open"


def test_decline__with_a_reason(house: House, bob: Desk) -> None:
    offer = house.offered()
    answer = bob.post(f"/portal/offers/{offer.id}/decline/", code="no_time", reason=" Lunch ")
    assert answer["Location"] == "/portal/"
    offer.refresh_from_db()
    assert (offer.status, offer.reason, offer.code) == ("declined", "Lunch", "no_time")
    assert "You declined the offer. It goes to another worker." in bob.text()
    assert "You declined this offer" in bob.text(f"/portal/offers/{offer.id}/")
    again = bob.post(f"/portal/offers/{offer.id}/decline/", code="no_time")
    assert again["Location"] == f"/portal/offers/{offer.id}/"


@pytest.mark.parametrize("code", ["", "because"])
def test_decline__without_a_known_reason_changes_nothing(
    house: House, bob: Desk, code: str
) -> None:
    offer = house.offered()
    path = f"/portal/offers/{offer.id}/"
    assert bob.post(f"{path}decline/", code=code)["Location"] == path
    offer.refresh_from_db()
    assert offer.status == "open"
    assert "Say why you decline the offer." in bob.text(path)


def test_broadcast__is_said_before_it_is_accepted(house: House, bob: Desk) -> None:
    offer, jonas = broadcast(house)
    path = f"/portal/offers/{offer.id}/"
    said = "Offered to several workers: the first to accept gets it."
    with CaptureQueriesContext(connection) as captured:
        assert said in bob.text(path)
    assert len(captured) <= 6, captured.captured_queries
    assert said in bob.text(f"{path}state")
    other = Offer.objects.get(worker_id=jonas.principal.worker_id)
    matching.decline_offer(actor=jonas.principal, offer_id=other.id, reason="", at=clock.now())
    assert said not in bob.text(path)


def test_an_offer_to_one__is_not_said_to_be_to_several(house: House, bob: Desk) -> None:
    assert "several workers" not in bob.text(f"/portal/offers/{house.offered().id}/")


# --- the part of the page that changes ------------------------------------------------------------


def test_state__is_the_part_of_the_page_that_changes(house: House, bob: Desk) -> None:
    offer, jonas = broadcast(house)
    path = f"/portal/offers/{offer.id}/"
    page, part = (bob.get(each).content.decode() for each in (path, f"{path}state"))
    assert f'data-fragment="{path}state" data-topics="offers"' in page
    for html in (page, part):
        assert f'action="{path}accept/"' in html
        assert f'data-until="{offer.expires_at.isoformat()}"' in html
    assert f"{path}decline/" in page
    assert f"{path}decline/" not in part
    accept_as(jonas, jonas.principal.worker_id)
    with CaptureQueriesContext(connection) as captured:
        text = bob.text(f"{path}state")
    assert len(captured) <= 5, captured.captured_queries
    assert "Another worker accepted it first" in text
    assert "See your offers" in text
    assert "Accept " not in text


def test_state__says_that_the_offer_has_expired(house: House, bob: Desk) -> None:
    offer = house.offered(at=clock.now() - timedelta(hours=1))
    text = bob.text(f"/portal/offers/{offer.id}/state")
    assert "This offer has expired" in text
    assert "Accept " not in text


def test_state__leads_to_the_task_that_was_accepted_elsewhere(house: House, bob: Desk) -> None:
    offer = house.offered()
    run = matching.accept_offer(actor=house.bob.principal, offer_id=offer.id, at=clock.now())
    path = f"/portal/offers/{offer.id}/state"
    assert "You accepted this offer" in bob.text(path)
    assert "It is not yours any more" not in bob.text(path)
    assert f'href="/portal/runs/{run.id}/"' in bob.get(path).content.decode()


# --- one that is over -----------------------------------------------------------------------------


def test_broadcast__the_second_is_told_in_words(house: House, bob: Desk) -> None:
    offer, jonas = broadcast(house)
    accept_as(jonas, jonas.principal.worker_id)
    answer = bob.post(f"/portal/offers/{offer.id}/accept/")
    assert answer["Location"] == f"/portal/offers/{offer.id}/"
    text = bob.text(answer["Location"])
    assert "Another worker accepted it first" in text
    assert "This does not count against you." in text
    assert "See your offers" in text
    assert "Jonas" not in text
    assert not Run.objects.filter(worker=bob.worker).exists()


def test_expired__before_and_after_its_timer(house: House, bob: Desk) -> None:
    at = clock.now() - timedelta(hours=1)
    offer = house.offered(at=at)
    path = f"/portal/offers/{offer.id}/"
    assert bob.post(f"{path}accept/")["Location"] == path
    assert "This offer has expired" in bob.text(path)
    assert "/accept/" not in bob.get(path).content.decode()
    Pool.objects.update(misses_until_away=1)
    matching.expire_offer(offer_id=offer.id, at=clock.now())
    text = bob.text(path)
    assert "This offer has expired" in text
    assert "so you were set to Away" in text
    assert "Verify endpoint owner activity" not in bob.text("/portal/")


def test_withdrawn__is_told_in_words(house: House, bob: Desk) -> None:
    offer = house.offered()
    tasks.cancel_task(
        actor=house.alice.principal, task_id=offer.task_id, reason="done", at=clock.now()
    )
    text = bob.text(f"/portal/offers/{offer.id}/")
    assert "This offer was withdrawn The" not in text
    assert "This offer was withdrawn" in text
    assert "no longer needed" in text


def test_accepted__and_released_since(house: House, bob: Desk) -> None:
    offer = house.offered()
    run = matching.accept_offer(actor=house.bob.principal, offer_id=offer.id, at=clock.now())
    tasks.release_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
    )
    assert "It is not yours any more" in bob.text(f"/portal/offers/{offer.id}/")


# --- offers of others -----------------------------------------------------------------------------


def test_offer__of_another_worker_or_organisation_does_not_exist(house: House, bob: Desk) -> None:
    Worker.objects.filter(id=bob.worker.id).update(presence="offline")
    worker_in(house.pool)
    offer = house.offered()
    for offer_id in (offer.id, NO_ID):
        path = f"/portal/offers/{offer_id}/"
        missing = bob.get(path)
        assert missing.status_code == 404
        assert '<a href="/portal/">To your work</a>' in missing.content.decode()
        assert bob.post(f"{path}accept/").status_code == 404
        assert bob.post(f"{path}decline/", code="no_time").status_code == 404
    offer.refresh_from_db()
    assert offer.status == "open"
