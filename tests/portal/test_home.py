"""Test the first page of a worker: its state, its offers, its work, and why there is none."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import BrowserSession
from apps.accounts.scopes import Role
from apps.base import clock
from apps.pools.models import Membership, Pool, Worker
from tests.factories import House, member_of, soon, worker_in
from tests.pages.steps import browser, sign_in
from tests.portal.steps import Desk, desk_of


@pytest.fixture
def bob(house: House) -> Desk:
    """Provide Bob's browser."""
    return desk_of(house)


def change(desk: Desk, **columns: Any) -> None:
    Worker.objects.filter(id=desk.worker.id).update(**columns)


def statements(desk: Desk, path: str = "/portal/") -> list[str]:
    """Return the statements of a page."""
    desk.get(path)
    with CaptureQueriesContext(connection) as captured:
        assert desk.get(path).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


# --- the cost -------------------------------------------------------------------------------------


def test_home__at_most_6_statements(house: House, bob: Desk) -> None:
    assert len(statements(bob)) <= 6, statements(bob)
    change(bob, capacity=5)
    house.offered(requirements={"skills": []})
    house.accepted(title="Held")
    sent = statements(bob)
    assert len(sent) <= 6, sent
    sent = statements(bob, "/portal/fragments/home")
    assert len(sent) <= 6, sent


def test_home__as_many_statements_where_a_second_factor_is_required(
    house: House, bob: Desk
) -> None:
    # Without the signal of one factor, which ends the other sessions.
    Authenticator.objects.bulk_create([Authenticator(user=bob.member.user, type="totp", data={})])
    house.organisation.requires_second_factor = True
    house.organisation.save()
    assert len(statements(bob)) <= 6


# --- the state ------------------------------------------------------------------------------------


def test_state__available_without_hours(bob: Desk) -> None:
    text = bob.text()
    assert "Available 0 of 1 places taken You get offers." in text
    assert "No offer right now No task waits in your pools." in text


def test_state__says_when_the_shift_ends_in_the_workers_zone(bob: Desk) -> None:
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    hours = {day: [["00:00", "23:59"]] for day in days}
    change(bob, hours=hours, time_zone="Asia/Tokyo")
    assert "You get offers until 23:59, when your working hours end." in bob.text()


def test_state__outside_of_hours(bob: Desk) -> None:
    weekday = clock.now().astimezone().strftime("%a").lower()
    other = "mon" if weekday in ("wed", "thu", "fri") else "thu"
    change(bob, hours={other: [["09:00", "17:00"]]})
    text = bob.text()
    assert "Outside of your working hours" in text
    assert "You get offers again from " in text
    assert ", 09:00" in text
    assert "You get no offers now" in text


@pytest.mark.parametrize(
    ("presence", "expected"),
    [
        ("busy", "Busy 0 of 1 places taken You get no new offers. What you hold is still yours."),
        (
            "away",
            "Away 0 of 1 places taken You get no new offers while you are away from your desk.",
        ),
        (
            "offline",
            (
                "Offline 0 of 1 places taken You get no offers."
                " Switch to Available when you want to work."
            ),
        ),
    ],
)
def test_presence__is_set_and_explained(bob: Desk, presence: str, expected: str) -> None:
    answer = bob.post("/portal/presence/", presence=presence)
    assert (answer.status_code, answer["Location"]) == (302, "/portal/")
    bob.worker.refresh_from_db()
    assert bob.worker.presence == presence
    text = bob.text()
    assert expected in text
    assert "Switch to Available" in text


def test_presence__says_who_set_it(bob: Desk) -> None:
    change(bob, presence="away", presence_reason="missed_offers")
    assert "You were set to Away, since you let several offers in a row pass." in bob.text()
    change(bob, presence="away", presence_reason="operator")
    assert "An administrator has set this." in bob.text()
    bob.post("/portal/presence/", presence="available")
    assert "An administrator" not in bob.text()


@pytest.mark.parametrize("fields", [{"presence": "asleep"}, {"snooze": "forever"}, {}])
def test_presence__unknown_changes_nothing(bob: Desk, fields: dict[str, str]) -> None:
    assert bob.post("/portal/presence/", **fields).status_code == 302
    bob.worker.refresh_from_db()
    assert (bob.worker.presence, bob.worker.snoozed_until) == ("available", None)
    assert "This is no state that you can choose." in bob.text()


def test_snooze__pauses_offers_and_ends(bob: Desk) -> None:
    bob.post("/portal/presence/", snooze="quarter")
    bob.worker.refresh_from_db()
    assert bob.worker.snoozed_until is not None
    assert timedelta(seconds=890) < bob.worker.snoozed_until - clock.now() <= timedelta(minutes=15)
    text = bob.text()
    assert "Offers are paused 0 of 1 places taken You get offers again from " in text
    assert "Get offers again now" in text
    bob.post("/portal/presence/", snooze="end")
    assert "Available 0 of 1 places taken You get offers." in bob.text()


def test_snooze__until_tomorrow_in_the_workers_zone(bob: Desk) -> None:
    change(bob, time_zone="Pacific/Auckland")
    answer = bob.get()
    ((_, _, _), (_, _, _), (name, seconds, _)) = answer.context["snoozes"]
    ends = (clock.now() + timedelta(seconds=seconds)).astimezone(ZoneInfo("Pacific/Auckland"))
    assert name == "tomorrow"
    assert (ends.hour, ends.minute // 2) == (0, 0)


# --- offers and work ------------------------------------------------------------------------------


def test_offers__show_what_decides(house: House, bob: Desk) -> None:
    offer = house.offered(
        title="Count the shelf",
        sla={"urgency": "critical", "deadline": soon(days=3).isoformat()},
        context={"risk_notes": ["Slippery floor"]},
        output={"expected_format": "file"},
    )
    text = bob.text()
    for part in ("Count the shelf", "Critical", "Verification", "needs evidence", "Has risk notes"):
        assert part in text
    page = bob.get().content.decode()
    assert f'data-until="{offer.expires_at.isoformat()}"' in page
    assert f'action="/portal/offers/{offer.id}/accept/"' in page


def test_offers__not_those_of_others(house: House, bob: Desk) -> None:
    change(bob, presence="offline")
    other, _ = worker_in(house.pool)
    offer = house.offered(title="For another")
    assert offer.worker_id == other.id
    assert "For another" not in bob.text()


def test_work__is_shown_with_what_is_due_first(house: House, bob: Desk) -> None:
    change(bob, capacity=3)
    run = house.accepted(title="Later")
    first = house.accepted(title="Sooner", sla={"deadline": soon(minutes=10).isoformat()})
    text = bob.text()
    assert "Due next: Sooner , by " in text
    assert "2 of 3 places taken" in text
    assert "Not started" in text
    page = bob.get().content.decode()
    for held in (run, first):
        assert f'href="/portal/runs/{held.id}/"' in page


def test_work__late_is_said_in_words(house: House, bob: Desk) -> None:
    at = clock.now() - timedelta(hours=2)
    house.accepted(at=at, sla={"deadline": (at + timedelta(hours=1)).isoformat()})
    assert "(late)" in bob.text()


def test_work__is_late_by_the_clock_that_runs_out_first(house: House, bob: Desk) -> None:
    sla = {"deadline": soon(days=2).isoformat(), "target_latency_seconds": 60}
    house.accepted(at=clock.now() - timedelta(hours=2), sla=sla)
    assert "(late)" in bob.text()


# --- why there is nothing -------------------------------------------------------------------------


def test_why__skills_that_the_worker_lacks(house: House, bob: Desk) -> None:
    for number in range(3):
        house.queued(title=f"Call {number}", requirements={"skills": ["phone_verification"]})
    assert "3 tasks wait for skills that you lack: Phone verification." in bob.text()


@pytest.mark.parametrize(
    ("requirements", "traits", "expected"),
    [
        ({"skill_levels": {"audit": 3}}, {"skills": ["audit"]}, "1 task waits for a higher level"),
        ({"languages": ["fr"]}, {}, "1 task waits for another language."),
        ({"certifications": ["soc"]}, {}, "1 task waits for a certification that you lack"),
        ({"trust_level": 4}, {}, "1 task waits for a higher trust level."),
        ({"min_rating": 4.5}, {}, "1 task waits for a better rating."),
    ],
)
def test_why__each_rule(
    house: House, bob: Desk, requirements: Any, traits: Any, expected: str
) -> None:
    change(bob, **traits)
    if "skill_levels" in requirements:
        requirements = {**requirements, "skills": ["audit"]}
    house.queued(requirements=requirements)
    assert expected in bob.text()


def test_why__the_state_comes_first(house: House, bob: Desk) -> None:
    change(bob, presence="offline")
    house.queued()
    text = bob.text()
    assert "You get no offers now 1 task that fits you waits." in text


def test_why__full(house: House, bob: Desk) -> None:
    house.accepted()
    assert "You have as much work as you can take." in bob.text()


def test_why__no_pool(house: House, bob: Desk) -> None:
    Membership.objects.filter(worker=bob.worker).delete()
    assert "You are in no pool yet." in bob.text()


def test_why__not_of_pools_that_the_worker_is_not_in(house: House, bob: Desk) -> None:
    other = Pool.objects.create(organisation=house.organisation, name="Night desk")
    house.queued(requirements={"worker_pool_id": str(other.id), "skills": ["secret_skill"]})
    text = bob.text()
    assert "No task waits in your pools." in text
    assert "ecret" not in text.replace("Secretary", "")


# --- who sees it ----------------------------------------------------------------------------------


def test_stranger__signs_in_first(house: House) -> None:
    answer = browser().get("/portal/")
    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=/portal/"


def test_member__who_is_no_worker_is_told_what_to_do(house: House) -> None:
    member = member_of(house.organisation, "ann@northwind.example", role=Role.ADMIN)
    client = browser()
    assert sign_in(client, "ann@northwind.example")["Location"] == "/admin/"
    answer = client.get("/portal/")
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "You administer this organisation" in page
    assert str(member.id) in page
    member.role = Role.VIEWER
    member.save()
    assert "Ask an administrator to make you a worker" in client.get("/portal/").content.decode()


def test_worker__loses_the_portal_with_the_link_and_the_session(house: House, bob: Desk) -> None:
    change(bob, user_id=None)
    assert bob.get().status_code == 403
    BrowserSession.objects.all().delete()
    assert bob.get().status_code == 302


def test_account__links_back(bob: Desk) -> None:
    assert 'href="/portal/"' in bob.get("/accounts/").content.decode()
    assert 'href="/accounts/"' in bob.get("/portal/").content.decode()
