"""A worker sets its own presence, and snoozes its offers."""

from datetime import timedelta
from typing import Any

import pytest

from apps.base import clock
from apps.matching.services import match_queued
from apps.pools.models import Membership, Worker
from apps.timers.models import Timer
from biolayer.times import format_time
from tests.api.expect import expect_unchanged, faults
from tests.api.test_workers import ME, path_of, shown
from tests.factories import House


def test_me__equals_the_operators_view(house: House) -> None:
    assert shown(house.bob.get(ME)) == shown(house.alice.get(path_of(house.bobs_worker)))


def test_me__setting_a_presence_resets_the_count_of_misses(house: House) -> None:
    Worker.objects.update(presence="away", presence_reason="missed_offers", missed_in_row=3)
    assert house.bob.get(ME).json()["presence_reason"] == "missed_offers"
    back = shown(house.bob.patch(ME, {"presence": "available"}))
    assert (back["presence"], back["presence_reason"], back["missed_in_row"]) == (
        "available",
        None,
        0,
    )


def test_me__a_snooze_sets_its_timer_and_0_ends_it(house: House) -> None:
    since = Worker.objects.get().waiting_since
    before = clock.now()
    asleep = shown(house.bob.patch(ME, {"snooze_seconds": 600}))
    row = Worker.objects.get()
    assert row.snoozed_until is not None
    assert before < row.snoozed_until - timedelta(seconds=600) < clock.now()
    assert asleep["snoozed_until"] == format_time(row.snoozed_until)
    assert (asleep["presence"], asleep["is_on_shift"]) == ("available", True)
    timer = Timer.objects.get()
    assert (timer.kind, timer.subject_id, timer.due_at) == (
        "availability",
        row.id,
        row.snoozed_until,
    )
    assert Membership.objects.get().free == 0
    house.queued()
    assert match_queued() == 0
    awake = shown(house.bob.patch(ME, {"snooze_seconds": 0}))
    assert awake["snoozed_until"] is None
    assert Timer.objects.filter(kind="availability").count() == 0
    assert match_queued() == 1
    assert Worker.objects.get().waiting_since == since


def test_me__a_snooze_and_a_presence_at_once(house: House) -> None:
    house.bob.patch(ME, {"presence": "offline"})
    both = shown(house.bob.patch(ME, {"presence": "available", "snooze_seconds": 86_400}))
    assert (both["presence"], both["snoozed_until"] is None) == ("available", False)
    kept = shown(house.bob.patch(ME, {"presence": "busy"}))
    assert kept["snoozed_until"] == both["snoozed_until"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, {"/presence": "required"}),
        ({"presence": None}, {"/presence": "required"}),
        ({"snooze_seconds": None}, {"/presence": "required"}),
        ({"snooze_seconds": -1}, {"/snooze_seconds": "too_small"}),
        ({"snooze_seconds": 86_401}, {"/snooze_seconds": "too_large"}),
        ({"snooze_seconds": True}, {"/snooze_seconds": "wrong_type"}),
        (
            {"snooze_seconds": "1", "presence": "asleep"},
            {"/snooze_seconds": "wrong_type", "/presence": "not_one_of"},
        ),
        ({"snooze_seconds": 1, "trust_level": 5}, {"/trust_level": "unknown_field"}),
    ],
    ids=str,
)
def test_me__a_bad_field_is_named(
    house: House, body: dict[str, Any], found: dict[str, str]
) -> None:
    with expect_unchanged():
        assert faults(house.bob.patch(ME, body)) == found
