"""Test drafts: what a worker types is kept, and nothing newer is overwritten."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.accounts.principal import system
from apps.base import clock
from apps.matching.services import match_queued
from apps.tasks import services as tasks
from apps.tasks.models import Draft, Run
from apps.timers.services import fire_due
from biolayer.requests.runs import MAX_DRAFT_BYTES
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.steps import act, upload
from tests.factories import NO_ID, OUTPUT, Caller, House, worker_in

FORM = {"output/notes": ["Owner ran"], "output/items/0/sku": ["A-1"], "output/flags": ["b", "a"]}


def save(caller: Caller, run: Run, revision: int, output: Any = None, **more: Any) -> Any:
    body = {"epoch": run.epoch, "revision": revision, "output": output, **more}
    return caller.put(f"/v1/runs/{run.id}/draft", body)


def stored(caller: Caller, run: Run) -> Any:
    answer = caller.get(f"/v1/runs/{run.id}/draft")
    assert answer.status_code == 200, answer.content
    return answer.json()


def lapse(run: Run) -> None:
    """Let the lease end, as its timer does."""
    run.refresh_from_db()
    assert run.lease_until is not None
    fire_due(at=run.lease_until + timedelta(seconds=1))


def test_draft__is_returned_as_it_was_saved(house: House) -> None:
    run = house.started()
    answer = save(house.bob, run, 0, {"z": [1.0, None], "a": "ä\n"}, form=FORM)
    assert answer.status_code == 200
    draft = stored(house.bob, run)
    assert draft == answer.json()
    assert datetime.fromisoformat(draft.pop("saved_at")) <= clock.now()
    assert draft == {
        "run_id": str(run.id),
        "task_id": str(run.task_id),
        "revision": 1,
        "epoch": 1,
        "output": {"z": [1.0, None], "a": "ä\n"},
        "form": FORM,
    }
    assert [*draft["form"]] == [*FORM], "in the order of the document"


def test_draft__without_one_is_not_found(house: House) -> None:
    run = house.started()
    body = expect_problem(house.bob.get(f"/v1/runs/{run.id}/draft"), 404, "not_found")
    assert body["detail"] == "No such draft."


def test_draft__each_save_is_a_revision(house: House) -> None:
    run = house.started()
    for revision in range(3):
        answer = save(house.bob, run, revision, revision)
        assert answer.json()["revision"] == revision + 1
    assert stored(house.bob, run)["output"] == 2
    assert Draft.objects.count() == 1


@pytest.mark.parametrize("seen", [0, 1, 3, 7])
def test_draft__another_revision_is_not_replaced(house: House, seen: int) -> None:
    run = house.started()
    save(house.bob, run, 0, "first")
    save(house.bob, run, 1, "second", form={"output": ["second"]})
    with expect_unchanged():
        body = expect_problem(save(house.bob, run, seen, "stale"), 409, "draft_changed")
    assert body["draft"] == stored(house.bob, run)
    assert (body["draft"]["revision"], body["draft"]["output"]) == (2, "second")


def test_draft__a_revision_of_none_is_refused(house: House) -> None:
    run = house.started()
    with expect_unchanged():
        body = expect_problem(save(house.bob, run, 4, "x"), 409, "draft_changed")
    assert body["draft"] is None


def test_draft__a_repeated_save_returns_the_first(house: House) -> None:
    run = house.started()
    first = save(house.bob, run, 0, {"a": 1}, form=FORM)
    with expect_unchanged():
        again = save(house.bob, run, 0, {"a": 1}, form=FORM)
    assert (again.status_code, again.json()) == (200, first.json())
    expect_problem(save(house.bob, run, 0, {"a": True}, form=FORM), 409, "draft_changed")
    expect_problem(save(house.bob, run, 0, {"a": 1}, form={}), 409, "draft_changed")


# --- leases -------------------------------------------------------------------------------------


def test_draft__saved_after_the_lease_ended(house: House) -> None:
    run = house.started()
    lapse(run)
    assert save(house.bob, run, 0, "the last second").status_code == 200
    assert stored(house.bob, run)["output"] == "the last second"


def test_draft__saved_after_another_worker_got_the_run(house: House) -> None:
    run = house.started()
    _, carol = worker_in(house.pool)
    lapse(run)
    assert match_queued() == 1
    (offer,) = carol.get("/v1/offers").json()["data"]
    carol.post(f"/v1/offers/{offer['offer_id']}/accept")
    assert save(house.bob, run, 0, "bob's").status_code == 200
    hers = Run.objects.get(id=run.id)
    assert hers.epoch == 2
    assert save(carol, hers, 0, "carol's").status_code == 200
    assert stored(house.bob, run)["output"] == "bob's"
    assert stored(carol, run)["output"] == "carol's"
    # Neither by the other's epoch, nor by one that no worker had.
    with expect_unchanged():
        for caller, epoch in [(house.bob, 2), (house.bob, 3), (carol, 1), (carol, 3)]:
            run.epoch = epoch
            expect_problem(save(caller, run, 1, "x"), 409, "lease_lost")


def test_draft__returns_with_the_task(house: House) -> None:
    run = house.started()
    save(house.bob, run, 0, "half", form=FORM)
    act(house.bob, run, "release")
    at = clock.now() + timedelta(hours=1)
    assert match_queued(at=at) == 1
    (offer,) = house.bob.get("/v1/offers").json()["data"]
    assert house.bob.post(f"/v1/offers/{offer['offer_id']}/accept").status_code == 200
    run.refresh_from_db()
    assert run.epoch == 2
    assert stored(house.bob, run)["output"] == "half"
    answer = save(house.bob, run, 1, "whole", form=FORM)
    assert (answer.json()["revision"], answer.json()["epoch"]) == (2, 2)


def test_draft__returns_with_a_new_run(house: House) -> None:
    run = house.started()
    save(house.bob, run, 0, "half")
    at = clock.now()
    tasks.fail_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, error="broken line", at=at
    )
    assert match_queued(at=at + timedelta(hours=1)) == 1
    (offer,) = house.bob.get("/v1/offers").json()["data"]
    house.bob.post(f"/v1/offers/{offer['offer_id']}/accept")
    second = Run.objects.get(task_id=run.task_id, attempt=2)
    draft = stored(house.bob, second)
    assert (draft["output"], draft["run_id"]) == ("half", str(run.id))
    assert save(house.bob, second, 1, "whole").json()["run_id"] == str(second.id)


def test_draft__renews_the_lease_while_it_lasts(house: House) -> None:
    run = house.started()
    Run.objects.filter(id=run.id).update(lease_until=clock.now() + timedelta(seconds=30))
    save(house.bob, run, 0)
    run.refresh_from_db()
    assert run.lease_until is not None
    assert run.lease_until > clock.now() + timedelta(seconds=60)
    ended = clock.now() - timedelta(seconds=1)
    Run.objects.filter(id=run.id).update(lease_until=ended)
    assert save(house.bob, run, 1).status_code == 200
    run.refresh_from_db()
    assert run.lease_until == ended


# --- whose, and until when ----------------------------------------------------------------------


def test_draft__is_its_workers_only(house: House) -> None:
    run = house.started()
    save(house.bob, run, 0, "secret")
    _, carol = worker_in(house.pool)
    expect_problem(carol.get(f"/v1/runs/{run.id}/draft"), 404, "not_found")
    expect_problem(house.alice.get(f"/v1/runs/{run.id}/draft"), 403, "scope_missing")
    with expect_unchanged():
        expect_problem(save(carol, run, 0, "x"), 409, "lease_lost")
        run.id = NO_ID  # type: ignore[assignment]
        expect_problem(save(house.bob, run, 0, "x"), 404, "not_found")


def test_draft__is_kept_when_the_output_is_submitted(house: House) -> None:
    run = house.started()
    save(house.bob, run, 0, "typed")
    assert act(house.bob, run, "submit", output=OUTPUT).status_code == 200
    assert save(house.bob, run, 1, "typed while it was sent").status_code == 200
    from apps.reviews.services import verify_submitted

    assert verify_submitted() == 1
    with expect_unchanged():
        expect_problem(save(house.bob, run, 2, "late"), 409, "run_submitted")
    assert stored(house.bob, run)["output"] == "typed while it was sent"


def test_draft__of_a_cancelled_task_can_be_saved(house: House) -> None:
    run = house.started()
    house.alice.post(f"/v1/tasks/{run.task_id}/cancel")
    assert save(house.bob, run, 0, "typed").status_code == 200


def test_draft__of_a_purged_task_is_gone(house: House) -> None:
    run = house.started()
    save(house.bob, run, 0, "typed")
    house.alice.post(f"/v1/tasks/{run.task_id}/cancel")
    tasks.purge_tasks_now(task_ids=[run.task_id], at=clock.now())
    assert Draft.objects.count() == 0
    with expect_unchanged():
        expect_problem(save(house.bob, run, 1, "typed"), 409, "task_purged")
        expect_problem(save(house.bob, run, 0, "typed"), 409, "task_purged")


def test_draft__needs_a_worker(house: House) -> None:
    from biolayer.errors import ScopeMissing

    run = house.started()
    with pytest.raises(ScopeMissing):
        tasks.save_draft(
            actor=system("test", house.organisation.id),
            run_id=run.id,
            epoch=1,
            revision=0,
            output=None,
            form=None,
            at=clock.now(),
        )


# --- bounds -------------------------------------------------------------------------------------


def test_draft__may_have_512_kibibytes(house: House) -> None:
    run = house.started()
    # Two quotation marks each.
    half = "x" * (MAX_DRAFT_BYTES // 2 - len('""{"f":[""]}') // 2)
    assert save(house.bob, run, 0, half, form={"f": [half]}).status_code == 200
    with expect_unchanged():
        assert faults(save(house.bob, run, 1, half + "x", form={"f": [half]})) == {"": "too_large"}


def test_draft__of_escapes_is_measured_as_stored(house: House) -> None:
    """A client may write each character as six bytes."""
    run = house.started()
    assert save(house.bob, run, 0, "ä" * 100_000).status_code == 200


def test_draft__a_huge_body_is_not_read(house: House) -> None:
    run = house.started()
    expect_problem(save(house.bob, run, 0, "x" * 1024 * 1024), 413, "too_large")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_draft__is_at_most_64_levels_deep(house: House) -> None:
    run = house.started()
    assert save(house.bob, run, 0, nested(64)).status_code == 200
    assert faults(save(house.bob, run, 1, nested(65))) == {"/output": "too_deep"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"revision": -1}, "/revision"),
        ({"revision": 2**31 - 1}, "/revision"),
        ({"revision": None}, "/revision"),
        ({"epoch": 0}, "/epoch"),
        ({"form": {"a": "text"}}, "/form/a"),
        ({"form": {"a": [1]}}, "/form/a/0"),
        ({"form": []}, "/form"),
        ({"output": {"a": ["\x00"]}}, "/output/a/0"),
        ({"form": {"a": ["\x00"]}}, "/form/a/0"),
        ({"text": "x"}, "/text"),
    ],
)
def test_draft__of_another_form_is_refused(house: House, body: Any, pointer: str) -> None:
    run = house.started()
    with expect_unchanged():
        answer = house.bob.put(f"/v1/runs/{run.id}/draft", {"epoch": 1, "revision": 0, **body})
    assert [*faults(answer)] == [pointer]


def test_evidence__beside_a_draft(house: House) -> None:
    """Drafts and files are independent."""
    run = house.started()
    save(house.bob, run, 0, "typed")
    assert upload(house.bob, run, b"A note.").status_code == 201
    assert stored(house.bob, run)["revision"] == 1
