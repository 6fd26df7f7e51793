"""Many changes in one statement."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.base import clock, rows
from apps.base.ids import new_id
from apps.base.rows import BulkStatement, Insert, Update
from apps.events.models import Event
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.timers.changes import timer_deletion, timer_upsert
from apps.timers.models import Timer
from apps.webhooks.models import Delivery, Destination, DestinationKind, Message, Origin
from tests.factories import House, contract


def timer(house: House) -> Timer:
    return Timer(
        id=new_id(),
        organisation_id=house.organisation.id,
        kind="test",
        subject_id=new_id(),
        due_at=clock.now(),
    )


def test_batched__sends_everything_as_one_statement(house: House) -> None:
    made = [timer(house) for _ in range(3)]
    with CaptureQueriesContext(connection) as captured, rows.batched():
        for one in made:
            rows.write([Insert(one)])
        assert not Timer.objects.exists()
    assert len([q for q in captured.captured_queries if "INSERT" in q["sql"]]) == 1
    assert Timer.objects.count() == 3


def test_batched__sends_nothing_when_the_block_fails(house: House) -> None:

    def fails() -> None:
        with rows.batched():
            rows.write([Insert(timer(house))])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not Timer.objects.exists()
    # And what comes after is written as ever.
    rows.write([Insert(timer(house))])
    assert Timer.objects.count() == 1


def test_updates__of_many_rows_keep_each_its_values(house: House) -> None:
    made = [timer(house) for _ in range(3)]
    rows.write([Insert(one) for one in made])
    tokens = [new_id(), None, new_id()]
    rows.write(
        [
            Update(Timer, {"id": one.id}, {"kind": f"kind-{number}", "claim_token": token})
            for number, (one, token) in enumerate(zip(made, tokens, strict=True))
        ]
    )
    found = {one.id: (one.kind, one.claim_token) for one in Timer.objects.all()}
    assert found == {
        one.id: (f"kind-{number}", token)
        for number, (one, token) in enumerate(zip(made, tokens, strict=True))
    }


def test_updates__of_one_row_are_made_one(house: House) -> None:
    one = timer(house)
    rows.write([Insert(one)])
    token = new_id()
    rows.write(
        [
            Update(Timer, {"id": one.id}, {"kind": "first", "claim_token": token}),
            Update(Timer, {"id": one.id}, {"kind": "second"}),
        ]
    )
    one.refresh_from_db()
    assert (one.kind, one.claim_token) == ("second", token)


def test_each__is_one_statement_for_all_rows(house: House) -> None:
    subjects = [new_id() for _ in range(3)]
    at = clock.now()
    with CaptureQueriesContext(connection) as captured:
        rows.write(
            timer_upsert(
                organisation_id=house.organisation.id, kind="test", subject_id=one, due_at=at
            )
            for one in subjects
        )
    (sent,) = captured.captured_queries
    assert sent["sql"].count("INSERT INTO timers_timer") == 1
    rows.write([timer_deletion(subject_id=one) for one in subjects[:2]])
    assert set(Timer.objects.values_list("subject_id", flat=True)) == {subjects[2]}
    assert isinstance(timer_deletion(subject_id=subjects[0]), BulkStatement)


def test_intake__one_bad_task_holds_up_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that fails is done task by task."""
    from apps.tasks.services import queueing

    made = [house.task() for _ in range(3)]
    queue = queueing.queue_task

    def refuse(**given: object) -> None:
        if given["task"] == made[1]:
            raise RuntimeError("a bad row")
        queue(**given)  # type: ignore[arg-type]

    monkeypatch.setattr(queueing, "queue_task", refuse)
    assert tasks.queue_created() == 2
    statuses = dict(Task.objects.values_list("id", "status"))
    assert [statuses[one.id] for one in made] == ["queued", "created", "queued"]


def test_a_batch_of_creates__is_one_statement(house: House) -> None:
    actor = house.alice.principal
    with CaptureQueriesContext(connection) as captured, rows.batched():
        for _ in range(3):
            tasks.create_task(actor=actor, document=contract(), at=clock.now())
    assert len([q for q in captured.captured_queries if "tasks_task" in q["sql"]]) == 1
    assert Task.objects.count() == 3


def test_insert__fills_the_defaults_of_the_model(house: House) -> None:
    """A row by its columns is the row that an instance of the model would be."""
    by_instance, by_columns = new_id(), new_id()
    given = {
        "organisation_id": house.organisation.id,
        "kind": DestinationKind.ENDPOINT,
        "url": "https://product.example/events",
    }
    origin = Origin.objects.create(
        id=new_id(), organisation_id=house.organisation.id, text="https://product.example:443"
    )
    rows.write(
        [
            Insert(Destination(id=by_instance, origin_id=origin.id, **given)),
            rows.insert(Destination, id=by_columns, origin_id=origin.id, **given),
        ]
    )
    first, second = (
        Destination.objects.filter(id=one).values().get() for one in (by_instance, by_columns)
    )
    times = {"id", "created_at", "updated_at", "status_changed_at"}
    assert {name: value for name, value in first.items() if name not in times} == {
        name: value for name, value in second.items() if name not in times
    }


@pytest.mark.parametrize("model", [Task, Event, Message, Delivery])
def test_new__is_what_the_constructor_makes(model: type[Task]) -> None:
    given = {"id": new_id(), "organisation_id": new_id()}
    constructed, new = vars(model(**given)), vars(rows.new(model, **given))
    assert constructed.keys() == new.keys()
    for name in constructed.keys() - {"_state", "xid"}:
        assert (name, new[name]) == (name, constructed[name])
    assert new["_state"].adding


def test_new__refuses_an_unknown_name() -> None:
    with pytest.raises(AssertionError, match="colour"):
        rows.new(Task, colour="red")


def test_write__sends_one_object_once(house: House) -> None:
    """Rows that many tasks share are sent once for each statement."""
    upsert = timer_upsert(
        organisation_id=house.organisation.id, kind="test", subject_id=new_id(), due_at=clock.now()
    )
    # Two rows would violate PostgreSQL's rule that an upsert changes no row twice.
    rows.write([upsert, upsert])
    assert Timer.objects.filter(kind="test").count() == 1


def test_after_commit__runs_once_the_block_is_written(house: House) -> None:
    """Wake a drain after the rows that it looks for are committed, also without a transaction."""
    seen: list[int] = []
    with rows.batched():
        rows.write([Insert(timer(house))])
        rows.after_commit(lambda: seen.append(Timer.objects.count()))
        assert seen == []
    assert seen == [1]


def test_after_commit__does_not_run_when_the_block_fails(house: House) -> None:
    seen: list[int] = []

    def fail() -> None:
        with rows.batched():
            rows.write([Insert(timer(house))])
            rows.after_commit(lambda: seen.append(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == []
    assert not Timer.objects.exists()


def test_batched_unless__writes_all_or_nothing(house: House) -> None:
    condition = rows.Statement("SELECT 1 FROM timers_timer WHERE kind = %s", ("test",))
    first, second = timer(house), timer(house)
    with rows.batched(unless=condition):
        rows.write([Insert(first)])
    with (
        CaptureQueriesContext(connection) as captured,
        pytest.raises(rows.NotWritten),
        rows.batched(unless=condition),
    ):
        rows.write([Insert(second), BulkStatement(COPY_TIMER, {"id": new_id()})])
    assert len(captured) == 1
    assert [row.id for row in Timer.objects.all()] == [first.id]


def test_batched_unless__accepts_new_rows_only(house: House) -> None:
    condition = rows.Statement("SELECT 1 FROM timers_timer WHERE kind = %s", ("other",))
    with pytest.raises(AssertionError), rows.batched(unless=condition):
        rows.write([Update(Timer, {"id": new_id()}, {"kind": "other"})])


COPY_TIMER = """
INSERT INTO timers_timer (id, organisation_id, kind, subject_id, due_at)
SELECT row.id, organisation_id, kind, row.id, due_at
FROM jsonb_to_recordset(%s) AS row (id uuid), timers_timer LIMIT 1
"""
