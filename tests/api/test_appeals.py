"""`/v1/appeals`, and what a worker sees of verdicts on its work."""

from typing import Any

import pytest

from apps.pools.models import Worker
from apps.reviews.models import Appeal
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import NO_ID, Caller, House
from tests.review_steps import decide, in_review, reviewer, set_policy

WORDS = {"reason": "The ticket is in the notes."}
OVERTURN = {"version": 1, "decision": "overturn", "reason": "It is there.", "rating": 4}


@pytest.fixture
def rita(house: House) -> Caller:
    set_policy(house.pool)
    return reviewer(house)


def appealed(house: House, rita: Caller, kind: str = "rework", **more: Any) -> dict[str, Any]:
    review = decide(rita.principal, in_review(house), kind, **more)
    answer = house.bob.post(f"/v1/reviews/{review.id}/appeal", WORDS)
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    return body


def own_verdicts(house: House) -> list[dict[str, Any]]:
    return [row["verdict"] for row in house.bob.get("/v1/workers/me/history").json()["data"]]


def test_worker__sees_verdict_and_appeal_in_its_history(house: House, rita: Caller) -> None:
    review = decide(rita.principal, in_review(house), "rework", rating=2, pointers=["/notes"])
    (verdict,) = own_verdicts(house)
    assert (verdict["review_id"], verdict["status"], verdict["appeal"]) == (
        str(review.id),
        "rework",
        None,
    )
    assert (verdict["pointers"], verdict["rating"]) == (["/notes"], 2)
    assert verdict["appeal_until"] > verdict["decided_at"]
    made = house.bob.post(f"/v1/reviews/{review.id}/appeal", WORDS).json()
    (verdict,) = own_verdicts(house)
    assert verdict["appeal"] == made
    assert (made["status"], made["reason"]) == ("open", WORDS["reason"])
    mona = reviewer(house, "Mona")
    mona.post(f"/v1/appeals/{made['appeal_id']}/decision", OVERTURN)
    (verdict,) = own_verdicts(house)
    told = verdict["appeal"]
    assert (told["status"], told["decision_reason"], told["rating"]) == (
        "overturned",
        "It is there.",
        4,
    )
    assert "decided_by" not in told


def test_history__of_what_was_approved_has_no_verdict(house: House, rita: Caller) -> None:
    decide(rita.principal, in_review(house))
    assert own_verdicts(house) == [None]


def test_manager__lists_and_decides(house: House, rita: Caller) -> None:
    first, second = (appealed(house, rita, kind="reject", rating=1) for _ in range(2))
    mona = reviewer(house, "Mona")
    ids = [row["appeal_id"] for row in mona.get("/v1/appeals?status=open").json()["data"]]
    assert ids == [second["appeal_id"], first["appeal_id"]]
    path = f"/v1/appeals/{first['appeal_id']}"
    shown = mona.get(path).json()
    assert (shown["status"], shown["version"], shown["reason"]) == ("open", 1, WORDS["reason"])
    assert (shown["review"]["review_id"], shown["review"]["decided_by"]) == (
        first["review_id"],
        rita.principal.text,
    )
    decided = mona.post(f"{path}/decision", OVERTURN).json()
    assert (decided["status"], decided["decided_by"], decided["rating"]) == (
        "overturned",
        mona.principal.text,
        4,
    )
    assert mona.get(path).json() == decided
    worker = Worker.objects.get(id=house.bobs_worker.id)
    assert (worker.rating_now, worker.rating_count) == (2.5, 2)
    done = mona.get("/v1/appeals?status=overturned&status=upheld").json()["data"]
    assert [row["appeal_id"] for row in done] == [first["appeal_id"]]
    of_review = mona.get(f"/v1/appeals?review_id={second['review_id']}").json()["data"]
    assert [row["appeal_id"] for row in of_review] == [second["appeal_id"]]


def test_list__is_paged(house: House, rita: Caller) -> None:
    made = [appealed(house, rita, kind="reject")["appeal_id"] for _ in range(3)]
    page = rita.get("/v1/appeals?limit=2").json()
    rest = rita.get(f"/v1/appeals?limit=2&cursor={page['next_cursor']}").json()
    ids = [row["appeal_id"] for row in [*page["data"], *rest["data"]]]
    assert (ids, rest["next_cursor"]) == (made[::-1], None)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("status=done", "/status"), ("review_id=1", "/review_id"), ("worker_id=1", "/worker_id")],
)
def test_list__refuses_parameters(rita: Caller, query: str, pointer: str) -> None:
    assert [*faults(rita.get(f"/v1/appeals?{query}"))] == [pointer]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/reason": "required"}),
        ({"reason": " "}, {"/reason": "required"}),
        ({"reason": "x" * 4001}, {"/reason": "too_long"}),
        ({**WORDS, "rating": 5}, {"/rating": "unknown_field"}),
    ],
)
def test_appeal__refused_body(
    house: House, rita: Caller, body: Any, expected: dict[str, str]
) -> None:
    review = decide(rita.principal, in_review(house), "reject")
    with expect_unchanged():
        answer = house.bob.post(f"/v1/reviews/{review.id}/appeal", body)
    assert faults(answer) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/version": "required", "/decision": "required", "/reason": "required"}),
        ({**OVERTURN, "decision": "reject"}, {"/decision": "not_one_of"}),
        ({**OVERTURN, "reason": ""}, {"/reason": "required"}),
        ({**OVERTURN, "rating": 6}, {"/rating": "too_large"}),
        ({**OVERTURN, "decision": "uphold"}, {"/rating": "not_allowed"}),
        (
            {**OVERTURN, "decision": "uphold", "rating": None, "reopen": True},
            {"/reopen": "not_allowed"},
        ),
    ],
)
def test_decision__refused_body(
    house: House, rita: Caller, body: Any, expected: dict[str, str]
) -> None:
    path, mona = (
        f"/v1/appeals/{appealed(house, rita)['appeal_id']}/decision",
        reviewer(house, "Mona"),
    )
    with expect_unchanged():
        answer = mona.post(path, body)
    assert faults(answer) == expected


def test_refusals__have_their_codes(house: House, rita: Caller) -> None:
    made = appealed(house, rita, kind="reject")
    appeal, path = f"/v1/appeals/{made['appeal_id']}", f"/v1/reviews/{made['review_id']}/appeal"
    with expect_unchanged():
        again = expect_problem(house.bob.post(path, WORDS), 409, "already_appealed")
        assert again["appeal_id"] == made["appeal_id"]
        expect_problem(rita.post(f"{appeal}/decision", OVERTURN), 403, "own_verdict")
        expect_problem(house.bob.get(appeal), 403, "scope_missing")
        expect_problem(rita.get(f"/v1/appeals/{NO_ID}"), 404, "not_found")
    mona = reviewer(house, "Mona")
    mona.post(f"{appeal}/decision", OVERTURN)
    with expect_unchanged():
        stale = expect_problem(mona.post(f"{appeal}/decision", OVERTURN), 409, "appeal_changed")
        assert (stale["version"], stale["appeal_status"]) == (2, "overturned")
        body = {**OVERTURN, "version": 2}
        expect_problem(mona.post(f"{appeal}/decision", body), 409, "appeal_closed")


def test_calls__are_repeated_by_their_idempotency_keys(house: House, rita: Caller) -> None:
    review = decide(rita.principal, in_review(house), "reject", rating=1)
    key = {"Idempotency-Key": "one"}
    made = [house.bob.post(f"/v1/reviews/{review.id}/appeal", WORDS, **key) for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json() == made[1].json()
    path = f"/v1/appeals/{Appeal.objects.get().id}/decision"
    mona = reviewer(house, "Mona")
    decided = [mona.post(path, OVERTURN, **key).json() for _ in range(2)]
    assert decided[0] == decided[1]
    worker = Worker.objects.get(id=house.bobs_worker.id)
    assert (worker.rating_now, worker.rating_count) == (4, 1)


def test_events__are_silent_and_hold_the_words(house: House, rita: Caller) -> None:
    made = appealed(house, rita)
    reviewer(house, "Mona").post(f"/v1/appeals/{made['appeal_id']}/decision", OVERTURN)
    rows = house.alice.get("/v1/events?types=appeal.opened,appeal.decided").json()["data"]
    assert [(row["type"], row["data"]["reason"]) for row in rows] == [
        ("appeal.opened", WORDS["reason"]),
        ("appeal.decided", "It is there."),
    ]
    everything = house.alice.get("/v1/events?types=task.*").json()["data"]
    assert not [row["type"] for row in everything if row["type"].startswith("appeal.")]
