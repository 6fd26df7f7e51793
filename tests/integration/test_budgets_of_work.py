"""The SQL statements of the calls that a worker's page makes: authentication counted."""

from apps.tasks.models import Run
from tests.agent_steps import agent_of, for_pool
from tests.factories import OUTPUT, House
from tests.integration.test_budgets import statements


def test_save_draft__at_most_5_statements(house: House) -> None:
    """The key, the run with its task, the draft, the lease, the draft's new revision."""
    run = house.started()
    path = f"/v1/runs/{run.id}/draft"
    for revision in range(2):
        body = {"epoch": 1, "revision": revision, "output": revision}
        sent = statements(lambda body=body: house.bob.put(path, body), answered=200)
        assert len(sent) == 5, sent


def test_get_draft__at_most_2_statements(house: House) -> None:
    run = house.started()
    path = f"/v1/runs/{run.id}/draft"
    house.bob.put(path, {"epoch": 1, "revision": 0})
    sent = statements(lambda: house.bob.get(path), answered=200)
    assert len(sent) == 2, sent


def test_messages__at_most_3_statements_to_read_and_6_to_post(house: House) -> None:
    """To post: the key, who had the task, its lock, the count, the transition, the names."""
    run = house.started()
    path = f"/v1/tasks/{run.task_id}/messages"
    for caller in (house.alice, house.bob):
        sent = statements(lambda caller=caller: caller.post(path, {"text": "?"}), answered=201)
        assert len(sent) <= 6, sent
        sent = statements(lambda caller=caller: caller.get(path), answered=200)
        assert len(sent) <= 3, sent


def test_history_and_statistics__at_most_3_and_2_statements(house: House) -> None:
    """To the history belong the verdicts on what was submitted: one statement more."""
    house.completed()
    for name, count in (("history", 3), ("statistics", 2)):
        sent = statements(lambda name=name: house.bob.get(f"/v1/workers/me/{name}"), answered=200)
        assert len(sent) == count, sent


def test_calls_of_a_session__at_most_so_many_statements(house: House) -> None:
    """A claim: the key, the session, its lock, its open claim, a run that an operator bound to it,
    the first tasks, the first one, its row, the event, and the number of that.

    A completion: the start and the submission, each with its own lock, and the claim's end.
    """
    for _ in range(2):
        for_pool(house)
    agent = agent_of(house)
    sent = statements(agent.claim, answered=200)
    assert len(sent) <= 11, sent
    run_id = str(Run.objects.get(status="claimed").id)
    sent = statements(lambda: agent.on(run_id, "heartbeat"), answered=200)
    assert len(sent) <= 8, sent
    sent = statements(lambda: agent.on(run_id, "complete", result=OUTPUT), answered=200)
    assert len(sent) <= 11, sent
