"""Test `/v1/reviews`, the policies of pools and contracts, and what others see of a review."""

from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.pools.models import Pool
from apps.pools.services import provision_pool
from apps.reviews.models import Review
from apps.reviews.services import verify_submitted
from apps.tasks.models import Task
from apps.timers.services import fire_due
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.steps import act
from tests.factories import NO_ID, OUTPUT, Caller, House, contract
from tests.review_steps import in_review, reviewer, set_policy

REVIEWS = "/v1/reviews"
APPROVAL = {"version": 1, "verdict": "approve"}
REFUSAL = {"version": 1, "verdict": "reject", "reason": "It is another owner."}


@pytest.fixture
def rita(house: House) -> Caller:
    set_policy(house.pool)
    return reviewer(house)


def listed(caller: Caller, query: str = "") -> list[str]:
    answer = caller.get(f"{REVIEWS}{query}")
    assert answer.status_code == 200, answer.content
    return [row["review_id"] for row in answer.json()["data"]]


# --- policies -------------------------------------------------------------------------------------


def test_pool__has_a_policy(house: House) -> None:
    path = f"/v1/pools/{house.pool.id}"
    policy = {"mode": "sample", "sample_share": 0.25, "first_tasks": 5, "required_role": "manager"}
    answer = house.alice.patch(path, {"review_policy": policy})
    assert answer.json()["review_policy"] == policy
    assert Pool.objects.get(id=house.pool.id).review_policy == policy
    assert house.alice.patch(path, {"name": "Desk"}).json()["review_policy"] == policy
    assert house.alice.patch(path, {"review_policy": None}).json()["review_policy"] is None
    assert Pool.objects.get(id=house.pool.id).review_policy is None
    made = house.alice.post("/v1/pools", {"name": "Night", "review_policy": {"mode": "all"}})
    assert made.json()["review_policy"] == {"mode": "all"}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ([], {"/review_policy": "wrong_type"}),
        ({"mode": "most"}, {"/review_policy/mode": "not_one_of"}),
        ({"mode": "sample"}, {"/review_policy": "required"}),
        ({"sample_share": 2}, {"/review_policy/sample_share": "too_large"}),
        ({"reviewers": 2}, {"/review_policy/reviewers": "unknown_field"}),
        (
            {"reviewer_pool_id": NO_ID, "deadline_seconds": 600},
            {"/review_policy/reviewer_pool_id": "unknown_pool"},
        ),
    ],
)
def test_pool__refuses_a_policy(house: House, policy: Any, expected: dict[str, str]) -> None:
    with expect_unchanged():
        answer = house.alice.patch(f"/v1/pools/{house.pool.id}", {"review_policy": policy})
    assert faults(answer) == expected


def test_contract__is_stricter_than_its_pool(house: House) -> None:
    set_policy(house.pool, mode="sample", sample_share=0.1, required_role="manager")
    here = {"requirements": {"worker_pool_id": str(house.pool.id)}}
    stricter = {"mode": "all", "max_rework": 1}
    answer = house.alice.post("/v1/tasks", contract(**here, review=stricter))
    assert (answer.status_code, answer.json()["review_policy"]) == (201, stricter)
    assert Task.objects.get().review_policy == stricter
    laxer = {"mode": "none", "required_role": "editor", "auto_approve_after_hours": 1}
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(**here, review=laxer))
    assert faults(answer) == dict.fromkeys(
        ("/review/mode", "/review/required_role", "/review/auto_approve_after_hours"),
        "laxer_than_pool",
    )
    batch = house.alice.post("/v1/tasks/batch", [contract(**here, review=laxer)]).json()
    assert [one["pointer"] for one in batch["data"][0]["problem"]["errors"]] == [*faults(answer)]


@pytest.mark.parametrize(
    ("review", "expected"),
    [
        ("all", {"/review": "wrong_type"}),
        ({"mode": 1}, {"/review/mode": "not_one_of"}),
        ({"max_rework": 1.5}, {"/review/max_rework": "wrong_type"}),
        (
            {"reviewer_pool_id": NO_ID, "deadline_seconds": 600},
            {"/review/reviewer_pool_id": "unknown_pool"},
        ),
    ],
)
def test_contract__refuses_a_review(house: House, review: Any, expected: dict[str, str]) -> None:
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(review=review))
    assert faults(answer) == expected


def test_contract__with_a_review_is_replayed_by_its_natural_key(house: House) -> None:
    body = contract(origin={"request_id": "IR-1"}, review={"mode": "all"})
    first = house.alice.post("/v1/tasks", body).json()["task_id"]
    again = house.alice.post("/v1/tasks", body)
    assert (again.status_code, again.json()["task_id"]) == (200, first)
    other = house.alice.post("/v1/tasks", {**body, "review": None})
    expect_problem(other, 409, "request_id_reused")


# --- lists ----------------------------------------------------------------------------------------


def test_lanes(house: House, rita: Caller) -> None:
    set_policy(house.pool, deadline_seconds=600)
    at = clock.now()
    late = in_review(house, at=at - timedelta(hours=1))
    mine, waiting, done = (in_review(house, at=at) for _ in range(3))
    assert fire_due(at=at) >= 1
    assert rita.post(f"{REVIEWS}/{mine.id}/claim").status_code == 200
    assert rita.post(f"{REVIEWS}/{done.id}/verdict", APPROVAL).status_code == 200
    ids = {name: str(one.id) for name, one in locals().items() if isinstance(one, Review)}
    assert listed(rita, "?lane=mine") == [ids["mine"]]
    assert listed(rita, "?lane=waiting") == [ids["late"], ids["waiting"]]
    assert listed(rita, "?lane=overdue") == [ids["late"]]
    assert listed(rita, "?lane=done") == [ids["done"]]
    assert listed(rita) == [ids["done"], ids["waiting"], ids["mine"], ids["late"]]
    assert listed(reviewer(house, "Sam"), "?lane=mine") == []
    assert listed(rita, "?status=claimed&status=approved") == [ids["done"], ids["mine"]]
    assert listed(rita, f"?task_id={late.task_id}") == [ids["late"]]
    assert len(listed(rita, f"?pool={house.pool.id}")) == 4
    assert listed(rita, f"?pool={house.strangers_pool.id}") == []


def test_list__is_paged(house: House, rita: Caller) -> None:
    ids = [str(in_review(house).id) for _ in range(5)]
    for lane, order in (("?lane=waiting&", ids), ("?", ids[::-1])):
        path, seen = f"{REVIEWS}{lane}limit=2", []
        while path:
            page = rita.get(path).json()
            seen += [row["review_id"] for row in page["data"]]
            cursor = page["next_cursor"]
            path = f"{REVIEWS}{lane}limit=2&cursor={cursor}" if cursor else ""
        assert seen == order


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("lane=all", "/lane"),
        ("status=open", "/status"),
        ("pool=1", "/pool"),
        ("task_id=1", "/task_id"),
        ("lane=mine&lane=done", "/lane"),
        ("worker_id=1", "/worker_id"),
    ],
)
def test_list__refuses_parameters(house: House, rita: Caller, query: str, pointer: str) -> None:
    assert [*faults(rita.get(f"{REVIEWS}?{query}"))] == [pointer]


def test_list__of_a_key_for_other_pools_is_empty(house: House, rita: Caller) -> None:
    in_review(house)
    other = provision_pool(organisation_id=house.organisation.id, name="Elsewhere")
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Theirs",
        scopes=[Scope.TASKS_REVIEW],
        pool_ids=[other.id],
    )
    assert listed(Caller(key)) == []


# --- one review -----------------------------------------------------------------------------------


def test_review__shows_output_contract_and_the_review_before(house: House, rita: Caller) -> None:
    first = in_review(house, instructions="Call her.")
    shown = rita.get(f"{REVIEWS}/{first.id}").json()
    assert (shown["status"], shown["version"], shown["round"]) == ("waiting", 1, 1)
    assert (shown["output"], shown["evidence_ids"], shown["previous"]) == (OUTPUT, [], None)
    assert shown["contract"]["instructions"] == "Call her."
    assert shown["task"]["task_id"] == str(first.task_id)
    body = {**REFUSAL, "verdict": "rework", "pointers": ["/notes"], "rating": 2}
    decided = rita.post(f"{REVIEWS}/{first.id}/verdict", body).json()
    assert (decided["status"], decided["pointers"], decided["rating"]) == ("rework", ["/notes"], 2)
    run = house.offered_again(first.task).run
    offer = run.offers.get(status="open")
    briefing = house.bob.post(f"/v1/offers/{offer.id}/accept").json()["task"]
    assert briefing["sent_back"] == {
        "review_id": str(first.id),
        "attempt": 1,
        "reason": "It is another owner.",
        "pointers": ["/notes"],
        "output": OUTPUT,
    }
    run.refresh_from_db()
    act(house.bob, run, "start")
    act(house.bob, run, "submit", output={**OUTPUT, "notes": "The other owner."})
    second = Review.objects.get(run_id=run.id)
    previous = rita.get(f"{REVIEWS}/{second.id}").json()["previous"]
    assert (previous["review_id"], previous["output"]) == (str(first.id), OUTPUT)


def test_task_and_match__say_that_a_review_waits(house: House, rita: Caller) -> None:
    set_policy(house.pool, deadline_seconds=3600)
    review = in_review(house)
    path = f"/v1/tasks/{review.task_id}"
    task, match = house.alice.get(path).json(), house.alice.get(f"{path}/match").json()
    assert task["output"] is None
    assert task["review"] == match["review"]
    assert task["review"]["review_id"] == str(review.id)
    assert task["review"]["due_at"] == match["next_at"] is not None
    assert match["next"] == "A reviewer has to decide on its output."
    rita.post(f"{REVIEWS}/{review.id}/verdict", APPROVAL)
    assert verify_submitted() == 1
    task = house.alice.get(path).json()
    assert (task["status"], task["review"], task["output"]) == ("completed", None, OUTPUT)


def test_claim__for_one_at_a_time(house: House, rita: Caller) -> None:
    path = f"{REVIEWS}/{in_review(house).id}"
    claimed = rita.post(f"{path}/claim").json()
    assert (claimed["status"], claimed["version"], claimed["claimed_by"]) == (
        "claimed",
        2,
        rita.principal.text,
    )
    sam = reviewer(house, "Sam")
    with expect_unchanged():
        problem = expect_problem(sam.post(f"{path}/claim"), 409, "review_claimed")
        assert problem["lease_until"] == claimed["lease_until"]
        expect_problem(sam.post(f"{path}/release"), 409, "review_not_claimed")
        body = {**APPROVAL, "version": 2}
        expect_problem(sam.post(f"{path}/verdict", body), 409, "review_claimed")
    assert rita.post(f"{path}/release").json()["status"] == "waiting"
    assert sam.post(f"{path}/claim").json()["version"] == 4


def test_verdict__of_a_stale_version(house: House, rita: Caller) -> None:
    path = f"{REVIEWS}/{in_review(house).id}"
    rita.post(f"{path}/claim")
    with expect_unchanged():
        problem = expect_problem(rita.post(f"{path}/verdict", APPROVAL), 409, "review_changed")
    assert (problem["version"], problem["review_status"]) == (2, "claimed")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/version": "required", "/verdict": "required"}),
        ({**APPROVAL, "verdict": "accept"}, {"/verdict": "not_one_of"}),
        ({**REFUSAL, "reason": " "}, {"/reason": "required"}),
        ({"version": 1, "verdict": "rework"}, {"/reason": "required"}),
        ({**REFUSAL, "pointers": ["notes"]}, {"/pointers/0": "pattern"}),
        ({**REFUSAL, "pointers": ["/notes", "/call"]}, {"/pointers/1": "not_in_output"}),
        ({**APPROVAL, "rating": 6}, {"/rating": "too_large"}),
        ({**APPROVAL, "rating": 0}, {"/rating": "too_small"}),
    ],
)
def test_verdict__refused(
    house: House, rita: Caller, body: dict[str, Any], expected: dict[str, str]
) -> None:
    path = f"{REVIEWS}/{in_review(house).id}/verdict"
    with expect_unchanged():
        answer = rita.post(path, body)
    assert faults(answer) == expected


def test_verdict__is_repeated_by_its_idempotency_key(house: House, rita: Caller) -> None:
    review = in_review(house)
    path, key = f"{REVIEWS}/{review.id}/verdict", {"Idempotency-Key": "one"}
    first = rita.post(path, {**APPROVAL, "rating": 5}, **key)
    again = rita.post(path, {**APPROVAL, "rating": 5}, **key)
    assert (first.status_code, again.json()) == (200, first.json())
    assert again["Idempotency-Replayed"] == "true"
    house.bobs_worker.refresh_from_db()
    assert house.bobs_worker.rating_count == 1


def test_verdict__of_the_worker_itself(house: House, rita: Caller) -> None:
    review = in_review(house)
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Bob",
        scopes=[Scope.WORK, Scope.TASKS_REVIEW],
        worker_id=house.bobs_worker.id,
    )
    with expect_unchanged():
        expect_problem(
            Caller(key).post(f"{REVIEWS}/{review.id}/verdict", APPROVAL), 403, "own_work"
        )
    assert (listed(Caller(key), "?lane=waiting"), listed(Caller(key))) == ([], [str(review.id)])


@pytest.mark.parametrize(
    ("role", "needed", "code"),
    [
        (Role.VIEWER, "editor", "role_too_low"),
        (Role.EDITOR, "editor", None),
        (Role.EDITOR, "manager", "role_too_low"),
        (Role.MANAGER, "manager", None),
        (Role.MANAGER, "admin", "role_too_low"),
        (Role.ADMIN, "admin", None),
    ],
)
def test_verdict__by_role(house: House, role: Role, needed: str, code: str | None) -> None:
    set_policy(house.pool, required_role=needed)
    path = f"{REVIEWS}/{in_review(house).id}/verdict"
    answer = reviewer(house, role=role).post(path, APPROVAL)
    if code is None:
        assert answer.status_code == 200
    else:
        expect_problem(answer, 403, code)


def test_verdicts__each_with_a_result_of_its_own(house: House, rita: Caller) -> None:
    one, two, three = (in_review(house) for _ in range(3))
    rita.post(f"{REVIEWS}/{two.id}/verdict", APPROVAL)
    body = {
        "verdicts": [
            {**REFUSAL, "review_id": str(three.id), "pointers": ["/nowhere"]},
            {**APPROVAL, "review_id": str(two.id)},
            {**APPROVAL, "review_id": NO_ID},
            {**APPROVAL, "review_id": str(one.id), "rating": 4},
        ]
    }
    answer = rita.post(f"{REVIEWS}/verdicts", body).json()
    assert [row["review_id"] for row in answer["data"]] == [
        row["review_id"] for row in body["verdicts"]
    ]
    assert [row["status"] for row in answer["data"]] == [422, 409, 404, 200]
    codes = [row["problem"]["code"] for row in answer["data"][:3]]
    assert codes == ["invalid_input", "review_changed", "not_found"]
    assert answer["data"][3]["review"]["status"] == "approved"
    assert (answer["decided"], answer["refused"]) == (1, 3)
    three.refresh_from_db()
    assert three.status == "waiting"
    twice = {"verdicts": [{**APPROVAL, "review_id": str(three.id)}] * 2}
    assert faults(rita.post(f"{REVIEWS}/verdicts", twice)) == {"/verdicts": "duplicate"}


def test_events__are_silent(house: House, rita: Caller) -> None:
    """A wildcard does not include them; a reader that names them gets them."""
    review = in_review(house)
    rita.post(f"{REVIEWS}/{review.id}/verdict", APPROVAL)

    def types(query: str) -> list[str]:
        return [row["type"] for row in house.alice.get(f"/v1/events{query}").json()["data"]]

    assert not [name for name in types("?types=task.*") if name.startswith("review.")]
    assert types("?types=review.requested,review.decided") == [
        "review.requested",
        "review.decided",
    ]
