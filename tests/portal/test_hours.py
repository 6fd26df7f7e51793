"""Test the form of working hours: a day is copied to others, without a script."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.pools.models import Worker
from tests.factories import House
from tests.notice_steps import bob_signs_in
from tests.pages.steps import browser, sign_in, submit

HOURS = "/portal/profile/hours/"
BOB = "bob@northwind.example"
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri"]
TYPED = {
    "mon-from": ["09:00"],
    "mon-until": ["10:00"],
    "tue-from": ["08:00", "13:00"],
    "tue-until": ["12:00", "17:00"],
    "sun-from": ["20:00"],
    "sun-until": ["22:00"],
    "time_zone": "Europe/Berlin",
}


@pytest.fixture
def bob(house: House) -> Client:
    """Provide the browser of Bob, who is signed in."""
    bob_signs_in(house, BOB)
    client = browser()
    client.raise_request_exception = True
    sign_in(client, BOB)
    return client


def shown(answer: Any) -> dict[str, list[str]]:
    """Return the filled fields of each day."""
    page = answer.content.decode()
    found: dict[str, list[str]] = {}
    for day, begins, ends in re.findall(
        r'name="(\w+)-from" value="([^"]+)".*?-until" value="([^"]+)"', page, re.S
    ):
        found.setdefault(day, []).append(f"{begins}-{ends}")
    return found


@pytest.mark.parametrize(
    ("to", "days"), [("weekdays", WEEKDAYS), ("all", [*WEEKDAYS, "sat", "sun"])]
)
def test_day__is_copied_and_not_yet_saved(bob: Client, to: str, days: list[str]) -> None:
    before = Worker.objects.get(name="Bob Ashdown")
    answer = submit(bob, HOURS, copy_from="tue", copy=to, **TYPED)
    assert answer.status_code == 200
    tuesday = ["08:00-12:00", "13:00-17:00"]
    expected = {"sun": ["20:00-22:00"]} | dict.fromkeys(days, tuesday)
    assert shown(answer) == expected
    page = answer.content.decode()
    assert "Tuesday is copied. Save your working hours to keep it." in page
    assert "<option selected>Europe/Berlin</option>" in page
    after = Worker.objects.get(name="Bob Ashdown")
    assert (after.hours, after.time_zone) == (before.hours, before.time_zone)


@pytest.mark.parametrize("changes", [{"copy_from": "xyz"}, {"copy": "none", "copy_from": "tue"}])
def test_copy__of_what_is_no_day_changes_nothing(bob: Client, changes: dict[str, str]) -> None:
    answer = submit(bob, HOURS, **{"copy": "all", **changes}, **TYPED)
    assert answer.status_code == 200
    assert shown(answer)["mon"] == ["09:00-10:00"]
    assert "is copied" not in answer.content.decode()


def test_enter__saves(bob: Client) -> None:
    """A browser sends the first button of a form."""
    form = bob.get(HOURS).content.decode().partition("<main")[2].partition("</form>")[0]
    first = re.search(r'<button[^>]*type="submit"[^>]*>', form)
    assert first is not None
    assert 'name="copy"' not in first[0]
