"""A task's whole lifecycle through `/v1`, with drains run by the test."""

from apps.matching.services import match_queued
from apps.reviews.services import verify_submitted
from apps.tasks.services import queue_created
from biolayer import chain
from tests.factories import OUTPUT, House, contract


def test_a_task_goes_through_all_nine_statuses(house: House) -> None:
    created = house.alice.post("/v1/tasks", contract())
    assert created.status_code == 201
    task_id = created.json()["task_id"]
    assert created.json()["status"] == "created"
    queue_created()
    match_queued()
    (offer,) = house.bob.get("/v1/offers").json()["data"]
    accepted = house.bob.post(f"/v1/offers/{offer['offer_id']}/accept").json()
    run = accepted["run"]
    call = {"epoch": run["epoch"]}
    assert house.bob.post(f"/v1/runs/{run['run_id']}/start", call).status_code == 200
    answer = house.bob.post(f"/v1/runs/{run['run_id']}/submit", {**call, "output": OUTPUT})
    assert answer.status_code == 200
    assert house.alice.get(f"/v1/tasks/{task_id}").json()["output"] is None
    verify_submitted()
    shown = house.alice.get(f"/v1/tasks/{task_id}").json()
    assert (shown["status"], shown["output"]) == ("completed", OUTPUT)
    log = house.alice.get(f"/v1/tasks/{task_id}/events").json()["data"]
    assert [event["status"] for event in log] == (
        [
            "created",
            "queued",
            "matched",
            "offered",
            "accepted",
            "started",
            "submitted",
            "verified",
            "completed",
        ]
    )
    assert chain.first_broken(log) is None
