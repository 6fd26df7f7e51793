"""Tasks of `/api`: create, change, queue and finish them."""

from typing import Any

from tests.api.agh_contract import answer_faults
from tests.factories import House
from tests.operator_steps import Desk, desk_of


def expect(operation_id: str, response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.content
    body = response.json()
    assert answer_faults(operation_id, body) == []
    return body


def test_task__from_create_to_completed(house: House) -> None:
    desk: Desk = desk_of(house)
    made = expect(
        "createTask",
        desk.post("/tasks", scope="workspace", workspace=house.pool.name, title="Draft"),
        201,
    )
    task_id = made["task"]["id"]
    assert made["task"]["status"] == "ready"
    started = expect("startTask", desk.post(f"/tasks/{task_id}/start"), 201)
    assert started["run"]["status"] == "queued"
    again = expect("startTask", desk.post(f"/tasks/{task_id}/start"), 201)
    assert again["run"]["id"] == started["run"]["id"]
    agent = desk.agent(house)
    claim = agent.claimed()
    assert claim["run"]["id"] == started["run"]["id"]
    assert claim["task"]["id"] == task_id
    done = agent.on(claim["run"]["id"], "complete", result={"text": "ok"})
    assert done.status_code == 200, done.content
    patched = expect("updateTask", desk.patch(f"/tasks/{task_id}", title="Drafted"))
    assert patched["task"]["status"] == "completed"
    assert patched["task"]["title"] == "Drafted"
