"""Drafts and messages that are saved at the same time, with real commits."""

from datetime import datetime, timedelta
from typing import Any

from apps.base import clock
from apps.events.selectors import task_events
from apps.tasks import services as tasks
from apps.tasks.models import Draft, Message, Run, Task
from apps.timers.services import fire_due
from tests.concurrency.test_races import everything_holds
from tests.concurrency.together import Call, queued_up, together
from tests.factories import OUTPUT, Caller, House, tasks_submission

TABS = 6


def saving(house: House, run: Run, revision: int, text: str) -> Call:
    """Save a draft from a client of its own."""
    body = {"epoch": run.epoch, "revision": revision, "output": text, "form": {"output": [text]}}
    return lambda: Caller(house.bob.key).put(f"/v1/runs/{run.id}/draft", body)


def test_tabs__of_one_revision_one_wins_and_the_others_are_told(house: House) -> None:
    run = house.started()
    for revision in range(5):
        calls = [saving(house, run, revision, f"{revision} of {tab}") for tab in range(TABS)]
        answers = together(*calls)
        (won,) = [answer.json() for answer in answers if answer.status_code == 200]
        lost = [answer.json() for answer in answers if answer.status_code == 409]
        assert len(lost) == TABS - 1
        assert all(problem["draft"] == won for problem in lost)
        draft = Draft.objects.get()
        assert (draft.revision, draft.output) == (revision + 1, won["output"])


def test_tabs__that_retry_lose_nothing_and_overwrite_nothing(house: House) -> None:
    """Each tab appends its words to what it has seen last, until all of them are stored."""
    run = house.started()

    def typing(tab: int) -> Call:
        def type_words() -> int:
            caller, seen, text, refused = Caller(house.bob.key), 0, "", 0
            for word in range(8):
                while True:
                    body = {"epoch": 1, "revision": seen, "output": f"{text} {tab}.{word}"}
                    answer = caller.put(f"/v1/runs/{run.id}/draft", body)
                    stored = answer.json()
                    stored = stored if answer.status_code == 200 else stored["draft"]
                    seen, text = stored["revision"], stored["output"]
                    if answer.status_code == 200:
                        break
                    refused += 1
            return refused

        return type_words

    refused = together(*[typing(tab) for tab in range(4)])
    words = Draft.objects.get().output.split()
    assert sorted(words) == sorted(f"{tab}.{word}" for tab in range(4) for word in range(8))
    assert Draft.objects.get().revision == 32
    assert sum(refused) > 0, "the tabs never met"


def test_save__and_a_purge(house: House) -> None:
    """Whichever is first: nothing is left of the draft."""
    for order in ("save", "purge"):
        run = house.started(title=order)
        house.alice.post(f"/v1/tasks/{run.task_id}/cancel")
        save = saving(house, run, 0, "typed")
        if order == "save":
            with queued_up(save, behind="tasks_task", key=run.task_id):
                pass
            tasks.purge_tasks_now(task_ids=[run.task_id], at=clock.now())
        else:
            tasks.purge_tasks_now(task_ids=[run.task_id], at=clock.now())
            assert save().json()["code"] == "task_purged"
        assert Draft.objects.count() == 0


def test_save__and_a_purge_at_once(house: House) -> None:
    for number in range(10):
        run = house.started(title=f"{number}")
        house.alice.post(f"/v1/tasks/{run.task_id}/cancel")

        def purge(run: Run = run) -> int:
            return tasks.purge_tasks_now(task_ids=[run.task_id], at=clock.now())

        together(saving(house, run, 0, "typed"), purge)
        # A task that was locked when the purge came to it is left for the queue.
        tasks.purge_tasks_now(task_ids=[run.task_id], at=clock.now())
        assert Task.objects.get(id=run.task_id).purged_at is not None
        assert Draft.objects.count() == 0


def test_save__and_the_end_of_the_lease(house: House) -> None:
    for number in range(8):
        run = house.started(title=f"{number}")
        assert run.lease_until is not None

        def lapse(at: datetime = run.lease_until + timedelta(seconds=1)) -> int:
            return fire_due(at=at)

        (answer, _) = together(saving(house, run, 0, "last words"), lapse)
        assert answer.status_code == 200
        assert Draft.objects.get(task_id=run.task_id).output == "last words"
        everything_holds()
        house.alice.post(f"/v1/tasks/{run.task_id}/cancel")


def test_save__and_a_submission(house: House) -> None:
    for number in range(8):
        run = house.started(title=f"{number}")

        def submit(run: Run = run) -> Any:
            return tasks.submit_run(
                actor=house.bob.principal,
                run_id=run.id,
                submission=tasks_submission(run.epoch, OUTPUT),
                at=clock.now(),
            )

        (answer, _) = together(saving(house, run, 0, "typed"), submit)
        assert answer.status_code == 200
        assert Draft.objects.get(task_id=run.task_id).output == "typed"
        assert Task.objects.get(id=run.task_id).status == "submitted"
        everything_holds()


def test_messages__at_once_are_all_in_the_log(house: House) -> None:
    run = house.started()
    callers = [house.alice.key, house.bob.key] * 4

    def posting(number: int, key: str) -> Call:
        path = f"/v1/tasks/{run.task_id}/messages"
        return lambda: Caller(key).post(path, {"text": f"{number}"})

    answers = together(*[posting(number, key) for number, key in enumerate(callers)])
    assert {answer.status_code for answer in answers} == {201}
    told = [event for event in task_events(task_id=run.task_id) if event.type == "task.message"]
    rows = Message.objects.order_by("sequence")
    assert [str(row.id) for row in rows] == [event.data["message_id"] for event in told]
    assert [row.sequence for row in rows] == [event.sequence for event in told]
    assert sorted(row.text for row in rows) == [f"{number}" for number in range(8)]
    everything_holds()
