"""Test `requirements`: levels of skills, languages, and the task's own escalation policy."""

from typing import Any

import pytest

from apps.pools.models import Worker
from apps.tasks.models import Task
from biolayer.contract import EscalationPolicy, parse
from tests.api.contract_steps import NO_REQUIREMENTS, steps
from tests.api.expect import expect_unchanged, faults
from tests.factories import House, contract


def test_create__levels_and_languages_come_back(house: House) -> None:
    needs = {
        "skills": ["phone_verification", "german"],
        "skill_levels": {"german": 5, "phone_verification": 1},
        "preferred_skills": ["incident_response"],
        "languages": ["DE", "zh-Hant-TW", "de-CH-1996"],
    }
    answer = house.alice.post("/v1/tasks", contract(requirements=needs))
    assert answer.status_code == 201, answer.content
    kept = NO_REQUIREMENTS | needs | {"languages": ["de", "zh-hant-tw", "de-ch-1996"]}
    assert house.alice.get(answer["Location"]).json()["requirements"] == kept


def test_create__briefing_has_all_but_the_escalation(house: House) -> None:
    Worker.objects.update(skills=["a"], skill_levels={"a": 3}, languages=["de"])
    needs = {"skills": ["a"], "skill_levels": {"a": 3}, "languages": ["de"]}
    house.offered(requirements={**needs, "escalation": {"steps": steps(1)}})
    (offer,) = house.bob.get("/v1/offers").json()["data"]
    expected = NO_REQUIREMENTS | needs
    del expected["escalation"]
    assert offer["task"]["requirements"] == expected


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({"b": 1}, {"/b": "unknown_skill"}),
        ({"a": 0}, {"/a": "too_small"}),
        ({"a": 6}, {"/a": "too_large"}),
        ({"a": 2.5}, {"/a": "wrong_type"}),
        ({"a": True}, {"/a": "wrong_type"}),
        ({"a": 1, "Not a slug": 1, "b": 1}, {"/Not a slug": "pattern", "/b": "unknown_skill"}),
    ],
)
def test_create__level_out_of_bounds_or_of_no_required_skill(
    house: House, levels: dict[str, Any], expected: dict[str, str]
) -> None:
    body = contract(requirements={"skills": ["a"], "skill_levels": levels})
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", body)
    assert faults(answer) == {
        f"/requirements/skill_levels{place}": code for place, code in expected.items()
    }


@pytest.mark.parametrize(
    "tag", ["", "d", "deutschland", "de-", "de-x", "de_CH", "de\n", "d\u00e9", 5]
)
def test_create__language_is_no_tag(house: House, tag: Any) -> None:
    answer = house.alice.post("/v1/tasks", contract(requirements={"languages": ["de", tag]}))
    assert list(faults(answer)) == ["/requirements/languages/1"]


def test_create__language_of_36_characters(house: House) -> None:
    tag = "xx" + "-abcdefg" * 4 + "-a"
    assert len(tag) == 36
    answer = house.alice.post("/v1/tasks", contract(requirements={"languages": [tag]}))
    assert faults(answer) == {"/requirements/languages/0": "too_long"}


def test_create__escalation_is_returned_in_full(house: House) -> None:
    step = {"after_seconds": 60, "widen_to_pools": [str(house.pool.id)]}
    body = contract(requirements={"escalation": {"steps": [step]}})
    answer = house.alice.post("/v1/tasks", body)
    assert answer.status_code == 201, answer.content
    untouched = {
        "drop_preferred_skills": False,
        "drop_certifications": False,
        "lower_trust_level_by": 0,
        "lower_min_rating_by": 0,
        "mode": None,
        "broadcast_to": None,
        "boost_seconds": 0,
        "notify": False,
    }
    escalation = house.alice.get(answer["Location"]).json()["requirements"]["escalation"]
    assert escalation == {"steps": [untouched | step], "at_end": "wait"}
    assert EscalationPolicy.model_validate(Task.objects.get().escalation) == (
        parse(EscalationPolicy, {"steps": [step]})
    )


STEP_BOUNDS: list[tuple[str, list[Any], list[Any]]] = [
    ("after_seconds", [1, 2_592_000], [0, 2_592_001, 1.5, "60", True, None]),
    ("drop_preferred_skills", [True], ["true", 1, None]),
    ("drop_certifications", [True], ["true", 1, None]),
    ("lower_trust_level_by", [1, 5], [-1, 6, 1.5, True]),
    ("lower_min_rating_by", [0.01, 5, 5.0], [-0.1, 5.01, "1", True]),
    ("widen_to_pools", [[]], [5, "pool", [1] * 17, {}]),
    ("mode", ["sequential", "broadcast"], ["all", "", 1]),
    ("broadcast_to", [2, 50], [1, 51, 2.5, "2", True]),
    ("boost_seconds", [1, 86_400], [-1, 86_401, 1.5, True]),
    ("notify", [True], ["true", 1, None]),
    ("dropp_certifications", [], [True]),
]


@pytest.mark.parametrize(("field", "accepted", "refused"), STEP_BOUNDS)
def test_create__escalation_step_and_its_bounds(
    house: House, field: str, accepted: list[Any], refused: list[Any]
) -> None:
    def sent(value: Any) -> Any:
        policy = {"steps": steps(1, **{field: value})}
        return house.alice.post("/v1/tasks", contract(requirements={"escalation": policy}))

    for value in accepted:
        assert sent(value).status_code == 201, value
    for value in refused:
        places = list(faults(sent(value)))
        place = f"/requirements/escalation/steps/0/{field}"
        assert all(found.startswith(place) for found in places), (value, places)


@pytest.mark.parametrize("field", [row[0] for row in STEP_BOUNDS if row[1]])
def test_create__escalation_step_with_one_effect_is_enough(house: House, field: str) -> None:
    (accepted,) = [row[1][0] for row in STEP_BOUNDS if row[0] == field]
    if field == "widen_to_pools":
        accepted = [str(house.pool.id)]
    step = {"after_seconds": 5, "drop_certifications": False, "boost_seconds": 0, field: accepted}
    body = contract(requirements={"escalation": {"steps": [step]}})
    answer = house.alice.post("/v1/tasks", body)
    if field == "after_seconds":
        assert faults(answer) == {"/requirements/escalation/steps/0": "no_effect"}
    else:
        assert answer.status_code == 201, answer.content


@pytest.mark.parametrize("seconds", [(5, 5), (5, 4), (1, 9, 9)])
def test_create__escalation_steps_follow_one_another(house: House, seconds: tuple[int]) -> None:
    policy = {"steps": [{"after_seconds": each, "notify": True} for each in seconds]}
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(requirements={"escalation": policy}))
    assert faults(answer) == {"/requirements/escalation/steps": "not_growing"}


def test_create__escalation_widens_to_a_pool_that_the_key_may_not_use(house: House) -> None:
    named = [str(house.pool.id), str(house.strangers_pool.id)]
    policy = {"steps": [*steps(1), {"after_seconds": 9, "widen_to_pools": named}]}
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(requirements={"escalation": policy}))
    place = "/requirements/escalation/steps/1/widen_to_pools/1"
    assert faults(answer) == {place: "unknown_pool"}
