"""`/v1/reviewers` and `/v1/second-looks`."""

from datetime import timedelta
from typing import Any

import pytest

from apps.base import clock
from biolayer.times import format_time
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import OUTPUT, Caller, House
from tests.review_steps import decide, in_review, reviewer, set_policy


@pytest.fixture
def rita(house: House) -> Caller:
    set_policy(house.pool, second_look_share=1)
    return reviewer(house)


def test_reviewers__have_shares_and_agreement(house: House, rita: Caller) -> None:
    mona = reviewer(house, "Mona")
    first, second = (decide(rita.principal, in_review(house)) for _ in range(2))
    looks = mona.get("/v1/second-looks?status=waiting").json()["data"]
    assert [one["review_id"] for one in looks] == [str(first.id), str(second.id)]
    for one, body in zip(
        looks, ({"verdict": "approve"}, {"verdict": "reject", "reason": "No."}), strict=True
    ):
        answer = mona.post(f"/v1/second-looks/{one['second_look_id']}/verdict", body)
        assert answer.status_code == 200
    page = mona.get("/v1/reviewers").json()
    (row,) = page["data"]
    assert row == {
        "reviewer": rita.principal.text,
        "decided": 2,
        "approvals": 2,
        "reworks": 0,
        "rejections": 0,
        "active_hours": row["active_hours"],
        "approvals_per_hour": 2 / row["active_hours"],
        "claimed_approvals": 0,
        "fast_approval_share": None,
        "decided_again": 2,
        "agreement": 0.5,
    }
    assert row["active_hours"] in (1, 2)
    since = format_time(clock.now() + timedelta(hours=1))
    until = format_time(clock.now() + timedelta(hours=2))
    later = mona.get(f"/v1/reviewers?since={since}&until={until}").json()
    assert (later["data"], later["since"], later["until"]) == ([], since, until)


def test_reviewers__by_pages(house: House, rita: Caller) -> None:
    callers = [reviewer(house, f"R{n}") for n in range(3)]
    for caller in callers:
        decide(caller.principal, in_review(house))
    first = rita.get("/v1/reviewers?limit=2").json()
    rest = rita.get(f"/v1/reviewers?limit=2&cursor={first['next_cursor']}").json()
    names = [row["reviewer"] for row in [*first["data"], *rest["data"]]]
    assert names == sorted(caller.principal.text for caller in callers)
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("since=2026-01-01T00:00:00Z&until=2026-01-01T00:00:00Z", "/since"),
        ("since=2026-01-01T00:00:00Z&until=2026-04-03T00:00:01Z", "/since"),
        ("since=yesterday", "/since"),
        ("until=0001-01-01T00:00:00Z", "/until"),
        ("pool=1", "/pool"),
    ],
)
def test_reviewers__refuse_parameters(rita: Caller, query: str, pointer: str) -> None:
    assert [*faults(rita.get(f"/v1/reviewers?{query}"))] == [pointer]
    whole = "since=2026-01-01T00:00:00Z&until=2026-04-03T00:00:00Z"
    assert rita.get(f"/v1/reviewers?{whole}").status_code == 200


def test_second_look__shows_the_output_and_not_the_first_verdict(
    house: House, rita: Caller
) -> None:
    decide(rita.principal, in_review(house, instructions="Call her."), rating=5)
    mona = reviewer(house, "Mona")
    (listed,) = mona.get("/v1/second-looks").json()["data"]
    shown = mona.get(f"/v1/second-looks/{listed['second_look_id']}").json()
    assert (shown["output"], shown["contract"]["instructions"]) == (OUTPUT, "Call her.")
    assert rita.principal.text not in str(shown)
    assert "rating" not in shown


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/verdict": "required"}),
        ({"verdict": "rework"}, {"/verdict": "not_one_of"}),
        ({"verdict": "reject"}, {"/reason": "required"}),
        ({"verdict": "approve", "rating": 3}, {"/rating": "unknown_field"}),
    ],
)
def test_second_look__refused_body(
    house: House, rita: Caller, body: Any, expected: dict[str, str]
) -> None:
    decide(rita.principal, in_review(house))
    mona = reviewer(house, "Mona")
    (listed,) = mona.get("/v1/second-looks").json()["data"]
    path = f"/v1/second-looks/{listed['second_look_id']}/verdict"
    with expect_unchanged():
        assert faults(mona.post(path, body)) == expected
        expect_problem(rita.post(path, {"verdict": "approve"}), 403, "own_verdict")
    assert mona.post(path, {"verdict": "approve"}).json()["status"] == "agreed"
    with expect_unchanged():
        expect_problem(mona.post(path, {"verdict": "approve"}), 409, "second_look_closed")
