"""Test `/v1/workers`: creation, changes, deletion, lists, and visibility."""

import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from apps.base import clock
from apps.matching.services import match_queued
from apps.pools.models import Certification, Membership, Worker
from apps.pools.services import provision_pool, provision_worker
from apps.timers.models import Timer
from biolayer.responses import pools as responses
from biolayer.times import format_time
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.test_pools import restricted
from tests.factories import NO_ID, Caller, House, soon, worker_in
from tests.integration.test_budgets import statements

PATH = "/v1/workers"
ME = f"{PATH}/me"
UNKNOWN_ID = str(UUID(int=7))
DEFAULTS = {
    "kind": "human",
    "presence": "offline",
    "skills": [],
    "skill_levels": {},
    "languages": [],
    "trust_level": 0,
    "capacity": 1,
    "hours": {},
    "time_zone": "UTC",
    "certifications": [],
    "pool_ids": [],
}
EVERYTHING: dict[str, Any] = {
    "name": "Dora Quist",
    "kind": "agent",
    "presence": "available",
    "skills": ["phone", "audit"],
    "skill_levels": {"phone": 5},
    "trust_level": 5,
    "capacity": 100,
    "hours": {"mon": [["00:00", "09:30"], ["22:00", "24:00"]], "sun": [["12:00", "12:01"]]},
    "time_zone": "America/St_Johns",
}


def made(caller: Caller, **wanted: Any) -> dict[str, Any]:
    """Create a worker, and return the response."""
    answer = caller.post(PATH, {"name": "Dora Quist", **wanted})
    assert answer.status_code == 201, answer.content
    return shown(answer)


def shown(answer: Any) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.content
    responses.Worker.model_validate_json(answer.content, extra="forbid")
    body: dict[str, Any] = answer.json()
    return body


def changed(caller: Caller, worker: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return shown(caller.patch(path_of(worker), changes))


def path_of(worker: dict[str, Any] | Worker) -> str:
    return f"{PATH}/{worker.id if isinstance(worker, Worker) else worker['worker_id']}"


# --- enrolling ------------------------------------------------------------------------------------


def test_create__with_a_name_alone(house: House) -> None:
    answer = house.alice.post(PATH, {"name": "Dora Quist"})
    worker = shown(answer)
    assert (answer.status_code, answer["Location"]) == (201, path_of(worker))
    row = Worker.objects.get(id=worker["worker_id"])
    assert row.organisation_id == house.organisation.id
    created_at = worker.pop("created_at")
    assert worker == {
        "worker_id": str(row.id),
        "name": "Dora Quist",
        "presence_reason": None,
        "is_on_shift": True,
        "snoozed_until": None,
        "missed_in_row": 0,
        "rating": 0.0,
        "rating_count": 0,
        "load": 0,
        "waiting_since": created_at,
        **DEFAULTS,
    }
    assert house.alice.get(answer["Location"]).json() == {**worker, "created_at": created_at}
    assert Timer.objects.count() == 0


def test_create__with_everything(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    pool_ids = sorted([str(house.pool.id), str(other.id)])
    certificate = {
        "code": "soc-operator",
        "issuer": "ACME",
        "expires_at": "2020-01-01T00:00:00.000000Z",
        "document_url": "https://example.com/soc.pdf?x=1",
    }
    worker = made(
        house.alice,
        **EVERYTHING,
        rating=4.856,
        languages=["en-GB", "DE", "de"],
        certifications=[certificate, {"code": "first-aid"}],
        pool_ids=pool_ids,
    )
    assert {name: worker[name] for name in EVERYTHING} == EVERYTHING
    assert (worker["rating"], worker["rating_count"]) == (4.856, 10)
    assert (worker["languages"], worker["pool_ids"]) == (["en-gb", "de"], pool_ids)
    endless = {"code": "first-aid", "issuer": "", "expires_at": None, "document_url": None}
    assert worker["certifications"] == [
        {**endless, "is_valid": True},
        {**certificate, "is_valid": False},
    ]
    memberships = Membership.objects.filter(worker_id=worker["worker_id"])
    words = {"phone", "phone:2", "phone:3", "phone:4", "phone:5", "audit", "@en-gb", "@en", "@de"}
    assert [set(membership.abilities) for membership in memberships] == [words, words]


def test_create__twice_with_one_key_is_one_worker(house: House) -> None:
    first, again = (
        house.alice.post(PATH, {"name": "Once"}, **{"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert (again["Idempotency-Replayed"], again.json()) == ("true", first.json())
    assert Worker.objects.filter(name="Once").count() == 1


def test_create__the_new_worker_gets_offers(house: House) -> None:
    house.bob.patch(ME, {"presence": "away"})
    house.queued(requirements={"skills": ["audit"]})
    assert match_queued() == 0
    made(house.alice, skills=["audit"], presence="available", pool_ids=[str(house.pool.id)])
    assert match_queued() == 1


HOURS: list[tuple[Any, dict[str, str]]] = [
    ([], {"/hours": "wrong_type"}),
    ({"monday": [["09:00", "17:00"]]}, {"/hours/monday": "not_one_of"}),
    ({"mon": []}, {"/hours/mon": "too_short"}),
    ({"mon": [["09:00"]]}, {"/hours/mon/0": "too_short"}),
    ({"mon": [["09:00", "17:00", "18:00"]]}, {"/hours/mon/0": "too_long"}),
    ({"mon": [["9:00", "24:01"]]}, {"/hours/mon/0/0": "pattern", "/hours/mon/0/1": "pattern"}),
    ({"mon": [["09:00\n", "17:60"]]}, {"/hours/mon/0/0": "pattern", "/hours/mon/0/1": "pattern"}),
    ({"mon": [["\u0660\u0669:00", "17:00"]]}, {"/hours/mon/0/0": "pattern"}),
    ({"mon": [["17:00", "09:00"]]}, {"/hours/mon/0": "ends_before_it_begins"}),
    ({"mon": [["09:00", "09:00"]]}, {"/hours/mon/0": "ends_before_it_begins"}),
    ({"mon": [["24:00", "24:00"]]}, {"/hours/mon/0": "ends_before_it_begins"}),
    ({"mon": [["12:00", "17:00"], ["09:00", "12:01"]]}, {"/hours/mon": "overlap"}),
    ({"mon": [["00:00", "00:01"]] * 25}, {"/hours/mon": "too_long"}),
]
LINKS = {
    "http://example.com/a": "scheme_not_allowed",
    "javascript:alert(1)": "scheme_not_allowed",
    "//example.com/a": "scheme_not_allowed",
    "https:///a": "invalid_url",
    "https://[::1/a": "invalid_url",
    "https://example.com:99999/": "invalid_url",
    "https://ann:pw@example.com/": "credentials_in_url",
    "https://example.com/a b": "pattern",
    "https://example.com/\\": "pattern",
    "": "pattern",
    "https://example.com/" + "a" * 2048: "too_long",
}
BAD: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"name": " "}, {"/name": "blank"}),
    ({"kind": "robot"}, {"/kind": "not_one_of"}),
    ({"presence": "asleep"}, {"/presence": "not_one_of"}),
    ({"skills": ["Phone"]}, {"/skills/0": "pattern"}),
    ({"skills": [f"s{n}" for n in range(101)]}, {"/skills": "too_long"}),
    ({"skills": ["phone"], "skill_levels": {"phone": 6}}, {"/skill_levels/phone": "too_large"}),
    ({"skills": ["phone"], "skill_levels": {"audit": 1}}, {"/skill_levels/audit": "unknown_skill"}),
    ({"skill_levels": {"Phone": 1}}, {"/skill_levels/Phone": "pattern"}),
    ({"skill_levels": {"audit": 2}}, {"/skill_levels/audit": "unknown_skill"}),
    ({"languages": ["english!"]}, {"/languages/0": "pattern"}),
    ({"languages": [f"x{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(33)]},
    {"/languages": "too_long"}),
    ({"trust_level": 6}, {"/trust_level": "too_large"}),
    ({"trust_level": None}, {"/trust_level": "wrong_type"}),
    ({"capacity": 0}, {"/capacity": "too_small"}),
    ({"capacity": 101}, {"/capacity": "too_large"}),
    ({"time_zone": "Mars/Olympus"}, {"/time_zone": "unknown_time_zone"}),
    ({"time_zone": "../../etc/passwd"}, {"/time_zone": "unknown_time_zone"}),
    ({"time_zone": "localtime"}, {"/time_zone": "unknown_time_zone"}),
    ({"certifications": [{"issuer": "ACME"}]}, {"/certifications/0/code": "required"}),
    ({"certifications": [{"code": "a", "expires_at": "2030-01-01"}]},
    {"/certifications/0/expires_at": "wrong_type"}),
    ({"certifications": [{"code": "a"}, {"code": "a"}]}, {"/certifications": "duplicate"}),
    ({"rating_count": 1}, {"/rating_count": "unknown_field"}),
    ({"load": 1}, {"/load": "unknown_field"}),
    ({"snooze_seconds": 1}, {"/snooze_seconds": "unknown_field"}),
    ({"kind": "robot", "hours": {"mon": [["9", "10:00"]]}, "skill_levels": {"no": 1}, "nane": 1},
    {"/kind": "not_one_of", "/hours/mon/0/0": "pattern", "/skill_levels/no": "unknown_skill",
    "/nane": "unknown_field"}),
    *[({"hours": hours}, found) for hours, found in HOURS],
    *[({"certifications": [{"code": "a", "document_url": url}]},
            {"/certifications/0/document_url": code}) for url, code in LINKS.items()],
]  # fmt: skip


@pytest.mark.parametrize(("changes", "found"), BAD, ids=str)
def test_a_bad_field__is_named(
    house: House, changes: dict[str, Any], found: dict[str, str]
) -> None:
    with expect_unchanged():
        assert faults(house.alice.post(PATH, {"name": "Dora", **changes})) == found
        assert faults(house.alice.patch(path_of(house.bobs_worker), changes)) == found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"name": None}, {"/name": "wrong_type"}),
        ({"rating": 5.1}, {"/rating": "too_large"}),
        ({"rating": "5"}, {"/rating": "wrong_type"}),
        (
            {"pool_ids": [UNKNOWN_ID, "desk"]},
            {"/pool_ids/0": "unknown_pool", "/pool_ids/1": "wrong_type"},
        ),
        ({"pool_ids": [NO_ID] * 51}, {"/pool_ids": "too_long"}),
    ],
    ids=str,
)  # fmt: skip
def test_create__an_invalid_field(
    house: House, changes: dict[str, Any], found: dict[str, str]
) -> None:
    with expect_unchanged():
        answer = house.alice.post(PATH, {"name": "Dora", **changes})
    if "too_long" in found.values():
        assert faults(answer)["/pool_ids"] == "too_long"
    else:
        assert faults(answer) == found


def test_create__in_open_pools_of_the_organisation_alone(house: House) -> None:
    closed = provision_pool(organisation_id=house.organisation.id, name="Closed")
    house.alice.call("DELETE", f"/v1/pools/{closed.id}")
    named = [str(house.strangers_pool.id), str(closed.id), str(house.pool.id)]
    with expect_unchanged():
        found = faults(house.alice.post(PATH, {"name": "Dora", "pool_ids": named}))
    assert found == {"/pool_ids/0": "unknown_pool", "/pool_ids/1": "unknown_pool"}


def test_create__needs_a_name(house: House) -> None:
    assert faults(house.alice.post(PATH, {})) == {"/name": "required"}


# --- changing -------------------------------------------------------------------------------------


def test_update__changes_the_sent_fields(house: House) -> None:
    before = made(house.alice, **EVERYTHING)
    with expect_unchanged():
        assert changed(house.alice, before) == before
    after = changed(house.alice, before, name="Dora K.", capacity=2, kind="human")
    assert after == {**before, "name": "Dora K.", "capacity": 2, "kind": "human"}


@pytest.mark.parametrize("name", ["rating", "pool_ids"])
def test_update__refuses_fields_of_creation(house: House, name: str) -> None:
    with expect_unchanged():
        answer = house.alice.patch(path_of(house.bobs_worker), {name: None})
    assert faults(answer) == {f"/{name}": "unknown_field"}


def test_update__removing_a_skill_removes_its_level(house: House) -> None:
    worker = made(house.alice, skills=["phone", "audit"], skill_levels={"phone": 5, "audit": 2})
    after = changed(house.alice, worker, skills=["audit", "visit", "audit"])
    assert (after["skills"], after["skill_levels"]) == (["audit", "visit"], {"audit": 2})
    after = changed(house.alice, worker, skill_levels={"visit": 3})
    assert after["skill_levels"] == {"visit": 3}
    with expect_unchanged():
        answer = house.alice.patch(path_of(worker), {"skill_levels": {"phone": 1}})
        assert faults(answer) == {"/skill_levels/phone": "unknown_skill"}


def test_update__certifications_are_replaced_whole(house: House) -> None:
    worker = made(house.alice, certifications=[{"code": "a", "issuer": "X"}, {"code": "b"}])
    ends = format_time(soon(days=1))
    after = changed(house.alice, worker, certifications=[{"code": "b", "expires_at": ends}])
    assert [(one["code"], one["expires_at"]) for one in after["certifications"]] == [("b", ends)]
    assert changed(house.alice, worker, certifications=[])["certifications"] == []
    assert Certification.objects.count() == 0


def test_update__a_new_skill_makes_the_worker_eligible(house: House) -> None:
    house.queued(requirements={"skills": ["audit"], "certifications": ["soc"], "trust_level": 2})
    for changes in (
        {"skills": ["audit"]},
        {"trust_level": 2},
        {"certifications": [{"code": "soc"}]},
    ):
        assert match_queued() == 0
        house.alice.patch(path_of(house.bobs_worker), changes)
    assert match_queued() == 1


def test_update__an_operator_sets_the_presence(house: House) -> None:
    Worker.objects.update(missed_in_row=2)
    away = shown(house.alice.patch(path_of(house.bobs_worker), {"presence": "away"}))
    assert (away["presence"], away["presence_reason"]) == ("away", "operator")
    assert away["missed_in_row"] == 0
    assert house.bob.get(ME).json()["presence_reason"] == "operator"


def test_update__sets_the_timer_of_the_hours(house: House) -> None:
    worker = made(house.alice, presence="available", pool_ids=[str(house.pool.id)])
    now = clock.now()
    today = f"{now:%a}".lower()
    on = changed(house.alice, worker, hours={today: [["00:00", "24:00"]]})
    assert on["is_on_shift"]
    timer = Timer.objects.get(kind="availability")
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert (timer.subject_id, timer.due_at) == (UUID(worker["worker_id"]), midnight)
    tomorrow = f"{midnight:%a}".lower()
    off = changed(house.alice, worker, hours={tomorrow: [["12:00", "13:00"]]})
    assert not off["is_on_shift"]
    assert Timer.objects.get().due_at == midnight + timedelta(hours=12)
    assert Membership.objects.get(worker_id=worker["worker_id"]).free == 0
    changed(house.alice, worker, time_zone="Asia/Kathmandu")
    assert Timer.objects.get().due_at == midnight + timedelta(hours=6, minutes=15)
    assert changed(house.alice, worker, hours={})["is_on_shift"]
    assert Timer.objects.count() == 0


# --- deleting -------------------------------------------------------------------------------------


def test_delete__a_worker_without_offers(house: House) -> None:
    worker, caller = worker_in(house.pool, name="Dora")
    house.alice.patch(path_of(worker), {"hours": {"mon": [["09:00", "10:00"]]}})
    answer = house.alice.call("DELETE", path_of(worker))
    assert (answer.status_code, answer.content) == (204, b"")
    expect_problem(house.alice.get(path_of(worker)), 404, "not_found")
    assert Membership.objects.filter(worker_id=worker.id).count() == Timer.objects.count() == 0
    expect_problem(caller.get(ME), 401, "unauthenticated")


def test_delete__refused_after_an_offer(house: House) -> None:
    offer = house.offered()
    house.bob.post(f"/v1/offers/{offer.id}/decline")
    with expect_unchanged():
        answer = house.alice.call("DELETE", path_of(house.bobs_worker))
        expect_problem(answer, 409, "worker_has_history")


# --- finding --------------------------------------------------------------------------------------


def found(caller: Caller, query: str = "") -> list[str]:
    answer = caller.get(f"{PATH}?{query}")
    assert answer.status_code == 200, answer.content
    responses.WorkerPage.model_validate_json(answer.content, extra="forbid")
    return [one["name"] for one in answer.json()["data"]]


def test_list__filters(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    provision_worker(pools=[other], name="Ann", skills=["phone", "audit"])
    provision_worker(pools=[house.pool, other], name="Cem", skills=["audit"])
    provision_worker(pools=[house.strangers_pool], name="Stranger", skills=["audit"])
    assert sorted(found(house.alice)) == ["Ann", "Bob Ashdown", "Cem"]
    assert found(house.alice, "presence=available") == ["Bob Ashdown"]
    assert sorted(found(house.alice, "skill=audit")) == ["Ann", "Cem"]
    assert sorted(found(house.alice, "skill=audit&skill=phone")) == ["Ann", "Cem"]
    assert sorted(found(house.alice, "presence=available&presence=busy")) == ["Bob Ashdown"]
    assert sorted(found(house.alice, f"pool={house.pool.id}")) == ["Bob Ashdown", "Cem"]
    assert found(house.alice, f"pool={house.pool.id}&skill=audit&presence=offline") == ["Cem"]
    assert found(house.alice, f"pool={house.strangers_pool.id}") == []


def test_list__every_bad_parameter_is_named(house: House) -> None:
    answer = house.alice.get(f"{PATH}?presence=asleep&skill=A+B&pool=desk&name=x")
    assert faults(answer) == {
        "/presence": "not_one_of",
        "/skill": "pattern",
        "/pool": "wrong_type",
        "/name": "unknown_parameter",
    }


def test_list__is_paged_newest_first(house: House) -> None:
    ids = [str(house.bobs_worker.id), *(made(house.alice)["worker_id"] for _ in range(2))]
    first = house.alice.get(f"{PATH}?limit=2").json()
    second = house.alice.get(f"{PATH}?limit=2&cursor={first['next_cursor']}").json()
    listed = [one["worker_id"] for page in (first, second) for one in page["data"]]
    assert (listed, second["next_cursor"]) == (sorted(ids, reverse=True), None)


def test_reading__needs_few_statements(house: House) -> None:
    provision_worker(pools=[house.pool], name="Ann", certifications={"a": None})
    path = path_of(house.bobs_worker)
    assert len(statements(lambda: house.alice.get(path), answered=200)) == 4
    assert len(statements(lambda: house.alice.get(PATH), answered=200)) == 4
    assert len(statements(lambda: house.alice.get("/v1/skills"), answered=200)) == 2


# --- credentials for some pools -------------------------------------------------------------------


def test_a_credential_for_some_pools__sees_their_workers_alone(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    hidden = provision_worker(pools=[other], name="Ann", skills=["audit"])
    shared = provision_worker(pools=[house.pool, other], name="Cem", skills=["phone"])
    front = restricted(house, house.pool.id)
    assert sorted(found(front)) == ["Bob Ashdown", "Cem"]
    assert found(front, f"pool={other.id}") == []
    assert shown(front.get(path_of(shared)))["pool_ids"] == [str(house.pool.id)]
    skills = front.get("/v1/skills").json()["data"]
    assert [one["skill"] for one in skills] == ["phone"]
    with expect_unchanged():
        for method in ("GET", "PATCH", "DELETE"):
            expect_problem(front.call(method, path_of(hidden)), 404, "not_found")


def test_a_credential_for_some_pools__changes_no_worker_of_other_pools(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    shared = provision_worker(pools=[house.pool, other], name="Cem")
    front = restricted(house, house.pool.id)
    assert changed(front, {"worker_id": house.bobs_worker.id}, trust_level=5)["trust_level"] == 5
    with expect_unchanged():
        answer = front.patch(path_of(shared), {"trust_level": 5})
        expect_problem(answer, 403, "pool_not_granted")
        expect_problem(front.call("DELETE", path_of(shared)), 403, "pool_not_granted")


def test_a_credential_for_some_pools__enrols_into_these_alone(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    front = restricted(house, house.pool.id)
    with expect_unchanged():
        for pool_ids, place in (([], "/pool_ids"), ([str(other.id)], "/pool_ids/0")):
            assert list(faults(front.post(PATH, {"name": "D", "pool_ids": pool_ids}))) == [place]
        assert faults(front.post(PATH, {})) == {"/name": "required", "/pool_ids": "required"}
    assert made(front, pool_ids=[str(house.pool.id)])["pool_ids"] == [str(house.pool.id)]


def test_a_worker_created_by_the_api__works_with_its_own_key(house: House) -> None:
    made = house.alice.post(
        "/v1/workers", {"name": "Dora", "pool_ids": [str(house.pool.id)]}
    ).json()
    out = io.StringIO()
    call_command("create_key", made["worker_id"], stdout=out)
    dora = Caller(out.getvalue().split()[1])
    assert dora.get("/v1/workers/me").json()["worker_id"] == made["worker_id"]
    assert dora.get("/v1/tasks").status_code == 403
    with pytest.raises(CommandError, match="does not exist"):
        call_command("create_key", str(house.pool.id))


def test_a_key_of_an_organisation__has_what_its_role_allows(house: House) -> None:
    organisation_id = str(house.organisation.id)
    out = io.StringIO()
    call_command("create_key", organisation_id, "--role", "manager", stdout=out)
    manager = Caller(out.getvalue().split()[1])
    [entry] = manager.get("/v1/audit-events?action=api_key.created").json()["data"]
    assert entry["actor"] == {"kind": "system", "id": "shell"}
    assert entry["data"]["role"] == "manager"
    assert manager.get("/v1/organisation").status_code == 200
    assert manager.patch("/v1/organisation", {"name": "N"}).json()["code"] == "scope_missing"
    assert manager.get("/v1/offers").json()["code"] == "scope_missing"
    with pytest.raises(CommandError, match="does not exist"):
        call_command("create_key", str(house.pool.id), "--role", "admin")
