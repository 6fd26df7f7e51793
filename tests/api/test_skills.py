"""The skills in use: workers that have them, those available, and tasks that wait for them."""

from typing import Any

from apps.pools.models import Worker
from apps.pools.services import provision_worker
from biolayer.responses import pools as responses
from tests.api.expect import faults
from tests.factories import House, soon, worker_in


def skill(name: str, workers: int, available: int, queued: int) -> dict[str, Any]:
    return {
        "skill": name,
        "workers": workers,
        "available_workers": available,
        "queued_tasks": queued,
    }


def test_skills__are_those_that_workers_have_or_queued_tasks_demand(house: House) -> None:
    worker_in(house.pool, skills=["phone", "audit"], capacity=2)
    provision_worker(pools=[house.pool], name="Offline", skills=["phone"])
    worker_in(house.pool, skills=["phone"], skill_levels={"phone": 2})
    snoozed, _ = worker_in(house.pool, skills=["phone"])
    Worker.objects.filter(id=snoozed.id).update(snoozed_until=soon(hours=1))
    provision_worker(pools=[house.strangers_pool], name="Stranger", skills=["secret"])
    levels = {"skills": ["visit", "phone"], "skill_levels": {"visit": 3}, "languages": ["en"]}
    house.queued(requirements=levels)
    house.queued(requirements={"skills": ["visit"]})
    house.task(requirements={"skills": ["unqueued"]})
    answer = house.alice.get("/v1/skills")
    responses.SkillPage.model_validate_json(answer.content, extra="forbid")
    assert answer.json() == {
        "data": [skill("audit", 1, 1, 0), skill("phone", 4, 2, 1), skill("visit", 0, 0, 2)],
        "next_cursor": None,
    }


def test_skills__are_paged_by_name(house: House) -> None:
    provision_worker(pools=[house.pool], name="Ann", skills=["b.2", "b_1", "a", "b-3", "0"])
    names, cursor = [], ""
    while cursor is not None:
        page = house.alice.get(f"/v1/skills?limit=2{cursor and '&cursor='}{cursor}").json()
        names.append([one["skill"] for one in page["data"]])
        cursor = page["next_cursor"]
    assert names == [["0", "a"], ["b-3", "b.2"], ["b_1"]]
    assert faults(house.alice.get("/v1/skills?skill=a")) == {"/skill": "unknown_parameter"}
    assert faults(house.alice.get("/v1/skills?cursor=a")) == {"/cursor": "invalid_cursor"}
