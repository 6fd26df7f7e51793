"""Test the board's page: its figures, what they lead to, and what it costs."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.scopes import Role
from apps.base import clock
from apps.operations.models import Process
from apps.tasks import services as tasks
from tests.factories import House, member_of, soon
from tests.pages.steps import browser, sign_in

EMAIL = "mara@northwind.example"
FRAGMENT = "/admin/board/fragment"


@pytest.fixture
def mara(house: House) -> Client:
    """Provide the browser of a viewer."""
    member_of(house.organisation, EMAIL, role=Role.VIEWER)
    client = browser()
    client.raise_request_exception = True
    assert sign_in(client, EMAIL).status_code == 302
    return client


def text(client: Client, path: str = FRAGMENT) -> str:
    """Return a page's text without markup and doubled spaces."""
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def links(client: Client, title: str) -> list[str]:
    """Return the addresses behind the tile of that title."""
    page = client.get(FRAGMENT).content.decode()
    return [
        unescape(address)
        for address, found in re.findall(
            r'<a class="tile[^"]*" href="([^"]+)">.*?<span>([^<]+)</span></a>', page
        )
        if found == title
    ]


def test_board__shows_what_waits_is_offered_and_worked_on(house: House, mara: Client) -> None:
    house.offered(domain="retail")
    house.queued(domain="legal")
    shown = text(mara)
    assert "1 Waiting 1 Offered 0 Active 0 At risk 0 Breached" in shown
    assert "Legal 1 0 0 0 0" in shown
    assert "Retail 0 1 0 0 0" in shown
    assert "1 task waits" not in shown
    assert "Created 2" in shown


def test_board__names_pools_and_leads_to_the_tasks_behind_each_number(
    house: House, mara: Client
) -> None:
    task = house.queued(requirements={"worker_pool_id": str(house.pool.id)})
    page = mara.get(FRAGMENT).content.decode()
    assert house.pool.name in page
    (address,) = links(mara, "Waiting")
    assert task.title in mara.get(address).content.decode()
    for address in {unescape(one) for one in re.findall(r'href="(/admin/tasks/[^"]+)"', page)}:
        assert mara.get(address).status_code == 200, address


def test_board__says_which_skill_would_help(house: House, mara: Client) -> None:
    from apps.matching.services import match_queued

    house.queued(requirements={"skills": ["deep_diving"]})
    match_queued()
    assert "1 more with Deep diving 1 task waits; 0 present" in text(mara)


def test_board__marks_what_is_late(house: House, mara: Client) -> None:
    task = house.queued(sla={"deadline": soon(minutes=5).isoformat()})
    tasks.watch_sla(task_id=task.id, clock=tasks_clock(), at=clock.now() + timedelta(hours=1))
    page = mara.get(FRAGMENT).content.decode()
    assert re.search(r'<a class="tile bad-text"[^>]*><span class="tile-number">1</span>', page)


def tasks_clock() -> Any:
    from apps.tasks.services.sla import Clock

    return Clock.DEADLINE


def test_board__says_that_a_process_died(house: House, mara: Client) -> None:
    now = clock.now()
    values = {"host": "desk-1", "version": "0.2.0", "started_at": now - timedelta(hours=1)}
    Process.objects.create(name="matching", pid=71, seen_at=now, **values)
    Process.objects.create(name="deliveries", pid=72, seen_at=now - timedelta(seconds=9), **values)
    page = mara.get(FRAGMENT).content.decode()
    assert 'class="status status-good">matching<' in page
    assert 'class="status status-bad">deliveries<' in page
    assert "no sign since" in text(mara)


@pytest.mark.parametrize("name", ["hour", "day", "week", "month", "unknown"])
def test_board__has_time_ranges(house: House, mara: Client, name: str) -> None:
    house.queued()
    chosen = "hour" if name == "unknown" else name
    page = mara.get(f"/admin/?range={name}").content.decode()
    assert f'data-fragment="{FRAGMENT}?range={chosen}"' in page
    assert f'<a href="?range={chosen}" aria-current="true">' in page
    assert "Created 1" in text(mara, f"{FRAGMENT}?range={name}")


@pytest.mark.parametrize("path", ["/admin/", FRAGMENT])
def test_board__is_4_statements(house: House, mara: Client, path: str) -> None:
    for _ in range(3):
        house.queued()
    mara.get(path)
    with CaptureQueriesContext(connection) as captured:
        mara.get(path)
    assert len(captured) <= 4, [query["sql"][:80] for query in captured.captured_queries]
