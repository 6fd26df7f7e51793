"""Test that the list of tasks, and its export, have what the board's numbers lead to."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from apps.accounts.scopes import Role
from apps.pools.models import Pool
from apps.tasks import admin
from apps.tasks.selectors import search
from tests.factories import House, member_of, worker_in
from tests.pages.steps import browser, sign_in

EMAIL = "mara@northwind.example"


@pytest.fixture
def mara(house: House) -> Client:
    """Provide the browser of a viewer."""
    member_of(house.organisation, EMAIL, role=Role.VIEWER)
    client = browser()
    client.raise_request_exception = True
    assert sign_in(client, EMAIL).status_code == 302
    return client


@pytest.fixture
def titles(house: House) -> set[str]:
    """Provide tasks in several statuses, and return all their titles."""
    house.started(title="Call under way")
    worker_in(house.pool)
    house.offered(title="Call on offer")
    named = {"worker_pool_id": str(house.pool.id)}
    first = house.queued(title="Queued here", requirements=named)
    house.queued(title="Queued anywhere")
    house.task(title="Gated", depends_on=[str(first.id)])
    return {"Call on offer", "Call under way", "Queued here", "Queued anywhere", "Gated"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"Call on offer", "Call under way", "Queued here", "Queued anywhere", "Gated"}),
        (
            {"status": "open"},
            {"Call on offer", "Call under way", "Queued here", "Queued anywhere", "Gated"},
        ),
        ({"status": "waiting"}, {"Queued here", "Queued anywhere"}),
        ({"status": "active"}, {"Call under way"}),
        ({"status": "offered"}, {"Call on offer"}),
        ({"status": "waiting", "pool": "any"}, {"Queued anywhere"}),
        ({"status": "waiting", "pool": "here"}, {"Queued here"}),
        ({"pool": "here"}, {"Queued here"}),
        ({"pool": "other"}, set()),
    ],
)
def test_list__has_the_tasks_behind_a_number_as_the_export_has(
    house: House, mara: Client, titles: set[str], query: dict[str, str], expected: set[str]
) -> None:
    other = Pool.objects.create(organisation=house.organisation, name="Night desk")
    pools = {"here": str(house.pool.id), "other": str(other.id)}
    given = {**query, **({"pool": pools.get(query["pool"], "any")} if "pool" in query else {})}
    page = mara.get(f"/admin/tasks/task/?{urlencode(given)}").content.decode()
    assert {title for title in titles if f">{title}<" in page} == expected
    exported = mara.get(f"/admin/tasks/export?{urlencode({**given, 'format': 'ndjson'})}")
    lines = b"".join(exported.streaming_content).decode().splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["title"] for row in rows if "title" in row} == expected


@pytest.mark.parametrize("of_most", [0, 10**6], ids=["in order", "by the index of words"])
def test_search__counts_to_a_bound_of_its_own(
    house: House, mara: Client, monkeypatch: pytest.MonkeyPatch, of_most: int
) -> None:
    monkeypatch.setattr(search, "OF_MOST", of_most)
    monkeypatch.setattr(admin, "MAX_FOUND", 2)
    for number in range(4):
        house.task(title=f"Boiler {number}")
    house.task(title="Call back")
    page = mara.get("/admin/tasks/task/?q=boi").content.decode()
    assert ("2+ in all" in page, ">Boiler 3<" in page, ">Call back<" in page) == (True, True, False)
    assert "5 in all" in mara.get("/admin/tasks/task/").content.decode()


def test_list__costs_few_statements(
    house: House, mara: Client, titles: set[str], django_assert_max_num_queries: Any
) -> None:
    for query in "", "?q=queued", "?q=absent", "?status=waiting", f"?pool={house.pool.id}":
        with django_assert_max_num_queries(6):
            assert mara.get(f"/admin/tasks/task/{query}").status_code == 200
