"""Which submissions a policy has reviewed, and how the policies of a pool and a task combine."""

from typing import Any

import pytest
from pydantic import ValidationError

from biolayer.pointers import is_pointer, points_into
from biolayer.reviews import ReviewPolicy, combined, laxer_fields, with_approval

POOL = "019b7e10-2c55-7d4e-b0f3-6a1d9c84e277"
OTHER = "019b7e10-2c55-7d4e-b0f3-6a1d9c84e278"


def policy(**stated: Any) -> ReviewPolicy:
    return ReviewPolicy.model_validate(stated)


SAMPLE = {"mode": "sample", "sample_share": 0.1}


@pytest.mark.parametrize(
    ("stated", "facts", "cause"),
    [
        ({}, {"draw": 0.0}, None),
        ({"mode": "all"}, {"draw": 0.999}, "all"),
        (SAMPLE, {"draw": 0.0999}, "sample"),
        (SAMPLE, {"draw": 0.1}, None),
        ({"mode": "sample", "sample_share": 0}, {"draw": 0.0}, None),
        ({"mode": "sample", "sample_share": 1}, {"draw": 0.9999999999999999}, "sample"),
        ({"first_tasks": 5}, {"tasks_before": 4}, "first_tasks"),
        ({"first_tasks": 5}, {"tasks_before": 5}, None),
        ({"below_rating": 4.5}, {"rating": 4.499}, "below_rating"),
        ({"below_rating": 4.5}, {"rating": 4.5}, None),
        ({**SAMPLE, "first_tasks": 2}, {"draw": 0.5, "tasks_before": 1}, "first_tasks"),
    ],
)
def test_cause__is_the_first_that_applies(
    stated: dict[str, Any], facts: dict[str, Any], cause: str | None
) -> None:
    asked = {"draw": 0.999, "tasks_before": 1000, "rating": 5.0, **facts}
    assert policy(**stated).cause(**asked) == cause


@pytest.mark.parametrize(
    ("stated", "place"),
    [
        ({"mode": "sample"}, ()),
        ({"mode": "some"}, ("mode",)),
        ({"sample_share": 1.01}, ("sample_share",)),
        ({"required_role": "worker"}, ("required_role",)),
        ({"reviewer_pool_id": POOL}, ()),
        ({"auto_approve_after_hours": 0}, ("auto_approve_after_hours",)),
        ({"deadline_seconds": 59}, ("deadline_seconds",)),
        ({"max_rework": 11}, ("max_rework",)),
        ({"first_tasks": -1}, ("first_tasks",)),
        ({"below_rating": 5.1}, ("below_rating",)),
        ({"on_reject": "ignore"}, ("on_reject",)),
        ({"appeal_hours": -1}, ("appeal_hours",)),
        ({"appeal_hours": 8761}, ("appeal_hours",)),
        ({"appeal_hours": None}, ("appeal_hours",)),
        ({"until": "tomorrow"}, ("until",)),
        ({"notify": "true"}, ("notify",)),
    ],
)
def test_policy__refused(stated: dict[str, Any], place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refusal:
        policy(**stated)
    assert [error["loc"] for error in refusal.value.errors()] == [place]


@pytest.mark.parametrize(
    ("pool", "task", "laxer"),
    [
        ({"mode": "all"}, {"mode": "all"}, []),
        ({"mode": "all"}, {"mode": "none"}, ["mode"]),
        ({"mode": "all"}, SAMPLE, ["mode"]),
        (SAMPLE, {"mode": "sample", "sample_share": 0.09}, ["sample_share"]),
        (SAMPLE, {"mode": "sample", "sample_share": 0.2}, []),
        (SAMPLE, {"mode": "all"}, []),
        ({"mode": "all"}, {"auto_approve_after_hours": 24}, ["auto_approve_after_hours"]),
        (
            {"mode": "all", "auto_approve_after_hours": 24},
            {"auto_approve_after_hours": 23},
            ["auto_approve_after_hours"],
        ),
        ({"mode": "all", "auto_approve_after_hours": 24}, {"auto_approve_after_hours": None}, []),
        ({"mode": "all", "deadline_seconds": 600}, {"deadline_seconds": 601}, ["deadline_seconds"]),
        (
            {"mode": "all", "deadline_seconds": 600},
            {"deadline_seconds": None},
            ["deadline_seconds"],
        ),
        ({"mode": "all"}, {"deadline_seconds": 601}, []),
        (
            {"mode": "all", "required_role": "manager"},
            {"required_role": "editor"},
            ["required_role"],
        ),
        ({"mode": "all", "max_rework": 1}, {"max_rework": 2}, ["max_rework"]),
        ({"mode": "all"}, {"max_rework": 0}, []),
        ({"mode": "all", "first_tasks": 3}, {"first_tasks": 2}, ["first_tasks"]),
        ({"mode": "all", "notify": True}, {"notify": False}, ["notify"]),
        ({"mode": "all"}, {"on_reject": "new_worker"}, ["on_reject"]),
        ({"mode": "all", "on_reject": "new_worker"}, {"on_reject": "fail"}, []),
        ({"mode": "all"}, {"appeal_hours": 71}, ["appeal_hours"]),
        ({"mode": "all"}, {"appeal_hours": 73}, []),
        ({"mode": "all", "appeal_hours": 0}, {"appeal_hours": 1}, []),
        (
            {"mode": "all", "reviewer_pool_id": POOL, "deadline_seconds": 600},
            {"reviewer_pool_id": OTHER, "deadline_seconds": 600},
            ["reviewer_pool_id"],
        ),
        # A pool without reviews is no floor, but for what it states.
        ({}, {"mode": "all", "auto_approve_after_hours": 1, "on_reject": "new_worker"}, []),
        ({"required_role": "admin"}, {"mode": "all", "required_role": "editor"}, ["required_role"]),
    ],
)
def test_laxer_fields__of_a_task(
    pool: dict[str, Any], task: dict[str, Any], laxer: list[str]
) -> None:
    floor, own = policy(**pool), policy(**task)
    assert list(laxer_fields(pool=floor, task=own)) == laxer
    result = combined(pool=floor, task=own)
    assert result is not None
    for name in ReviewPolicy.model_fields:
        if name in laxer:
            assert getattr(result, name) == getattr(floor, name)
        elif name in own.model_fields_set and not (name == "sample_share" and result.mode == "all"):
            assert getattr(result, name) == getattr(own, name)
    # It is stored with each review, and read again.
    assert ReviewPolicy.model_validate(result.stored()) == result


def test_combined__takes_what_the_task_does_not_state_from_the_pool() -> None:
    pool = policy(mode="sample", sample_share=0.1, max_rework=1, auto_approve_after_hours=24)
    result = combined(pool=pool, task=policy(mode="all"))
    assert result == policy(mode="all", sample_share=0.1, max_rework=1, auto_approve_after_hours=24)
    assert combined(pool=pool, task=None) == pool
    assert combined(pool=None, task=policy(mode="all")) == policy(mode="all")
    assert combined(pool=None, task=None) is None


# --- approval policies ----------------------------------------------------------------------------

MANAGERS = {"required_role": "MANAGER", "auto_approve_after_hours": 24, "escalate_to": "ops"}


@pytest.mark.parametrize(
    ("stored", "before", "approval", "result"),
    [
        (None, {}, {}, None),
        ({"mode": "none"}, {}, {}, {"mode": "none"}),
        (None, {}, {"escalate_to": "ops"}, None),
        (
            None,
            {},
            MANAGERS,
            {"mode": "none", "required_role": "manager", "auto_approve_after_hours": 24},
        ),
        (
            {"mode": "sample", "sample_share": 0.5, "reviewer_pool_id": None},
            {},
            {"notify_on_proposal": True},
            {"mode": "sample", "sample_share": 0.5, "reviewer_pool_id": None, "notify": True},
        ),
        (
            {"mode": "none", "required_role": "manager", "auto_approve_after_hours": 24},
            MANAGERS,
            {"required_role": "Viewer"},
            {"mode": "none", "required_role": "viewer"},
        ),
        ({"mode": "none", "required_role": "manager"}, {"required_role": "manager"}, {}, None),
        # What the pool has by itself stays.
        (
            {"mode": "all", "required_role": "admin"},
            {"required_role": "MANAGER"},
            {},
            {"mode": "all", "required_role": "admin"},
        ),
    ],
)
def test_with_approval(stored: Any, before: Any, approval: Any, result: Any) -> None:
    assert with_approval(stored, approval=approval, before=before) == result
    if result is not None:
        ReviewPolicy.model_validate(result)


# --- JSON Pointers: the examples of RFC 6901, section 5 -------------------------------------------

DOCUMENT = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6,
    " ": 7, "m~n": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    "place",
    ["", "/foo", "/foo/0", "/", "/a~1b", "/c%d", "/e^f", "/g|h", "/i\\j", '/k"l', "/ ", "/m~0n"],
)
def test_pointer__leads_into_the_document(place: str) -> None:
    assert is_pointer(place)
    assert points_into(place, DOCUMENT)


@pytest.mark.parametrize(
    "place",
    [
        "/bar",
        "/foo/2",
        "/foo/-",
        "/foo/00",
        "/foo/01",
        "/foo/bar",
        "/foo/0/0",
        "/m~1n",
        "/foo/\u0660",
    ],
)
def test_pointer__leads_nowhere(place: str) -> None:
    assert is_pointer(place)
    assert not points_into(place, DOCUMENT)


@pytest.mark.parametrize("text", ["foo", "#/foo", "/foo~", "/foo~2", " /foo"])
def test_pointer__is_none(text: str) -> None:
    assert not is_pointer(text)
