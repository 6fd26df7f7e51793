"""Test keys: they act in a sandbox of their organisation, apart from everything that is live."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import IntegrityError
from django.test import Client

from apps.accounts.keys import LIVE, TEST, new_key, parse_key
from apps.accounts.models import ApiKey, Organisation
from apps.accounts.sandbox_ids import is_of_sandbox, live_id, sandbox_id
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import ensure_sandbox, issue_key
from apps.api.http.links import Links
from apps.base import clock
from apps.base.ids import new_id
from apps.pools import services as pools
from apps.pools.models import Membership, Pool, PoolStatus, Worker
from apps.pools.services import provision_pool
from apps.sandbox.models import SimulatedStep, StepKind
from apps.tasks.models import Evidence, Run, Task
from apps.webhooks.services import keys_of
from local.demo.seed import seed
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.oauth_steps import created, credentials_manager
from tests.factories import NO_ID, SCHEMA, Caller, House, contract, page_example, soon, worker_in
from tests.sandboxes import events, posted, run_drains, sandbox_of, sandboxed, shown

NINE = [
    "created",
    "queued",
    "matched",
    "offered",
    "accepted",
    "started",
    "submitted",
    "verified",
    "completed",
]
HELD = NINE[4:]
OFFERED = NINE[1:4]


# --- ids and keys ---------------------------------------------------------------------------------


def test_ids__lead_from_one_to_the_other() -> None:
    live = new_id()
    own = sandbox_id(live)
    assert (own.version, live.version) == (8, 7)
    assert (is_of_sandbox(own), is_of_sandbox(live)) == (True, False)
    assert (live_id(own), live_id(live), sandbox_id(own)) == (live, live, own)


def test_key__names_its_side_and_is_unknown_with_the_other_prefix(house: House) -> None:
    test_key, live_key = sandboxed(house).key, house.alice.key
    assert (test_key[:8], live_key[:8]) == (TEST, LIVE) == ("bl_test_", "bl_live_")
    for key, other in ((test_key, LIVE), (live_key, TEST)):
        assert Caller(key).get("/v1/tasks").status_code == 200
        renamed = other + key[8:]
        assert parse_key(renamed) is not None  # well-formed, and yet not the key
        expect_problem(Caller(renamed).get("/v1/tasks"), 401, "unauthenticated")


def test_issue_key__of_a_sandbox_is_a_test_key(house: House) -> None:
    own = ensure_sandbox(organisation_id=house.organisation.id)
    keys = [issue_key(organisation_id=own, name="k", is_test=test) for test in (False, True)]
    assert all(key.startswith(TEST) for key in keys)
    assert set(ApiKey.objects.filter(name="k").values_list("organisation_id", flat=True)) == {own}


def test_key__whose_prefix_is_wrong_about_its_side_is_unknown(house: House) -> None:
    own = ensure_sandbox(organisation_id=house.organisation.id)
    for is_test, organisation_id in ((True, house.organisation.id), (False, own)):
        key = new_key(is_test=is_test)
        ApiKey.objects.create(
            id=key.id,
            organisation_id=organisation_id,
            name="x",
            secret_hash=key.secret_hash,
            scopes=["tasks:read"],
        )
        expect_problem(Caller(str(key)).get("/v1/tasks"), 401, "unauthenticated")


def test_api_keys__made_and_rotated_by_a_test_key_are_test_keys(house: House) -> None:
    manager = Caller(
        issue_key(
            organisation_id=house.organisation.id,
            name="m",
            role=Role.MANAGER,
            scopes=[Scope.CREDENTIALS_READ, Scope.CREDENTIALS_MANAGE, Scope.TASKS_READ],
            is_test=True,
        )
    )
    made = manager.post("/v1/api-keys", {"name": "k", "scopes": ["tasks:read"]})
    assert made.status_code == 201, made.content
    path = f"/v1/api-keys/{made.json()['key_id']}/rotate"
    rotated = manager.post(path, {"overlap_seconds": 60})
    assert rotated.status_code == 201, rotated.content
    for issued in (made.json(), rotated.json()):
        assert issued["api_key"].startswith(issued["secrets"][0]["starts_with"])
        assert issued["api_key"].startswith(TEST)
        caller = Caller(issued["api_key"])
        assert caller.get("/v1/tasks")["BioLayer-Sandbox"] == "true"
        assert caller.principal.organisation_id == sandbox_of(house)


def test_api_keys__of_mode_test_act_in_the_sandbox(house: House) -> None:
    scopes = [Scope.CREDENTIALS_READ, Scope.CREDENTIALS_MANAGE, Scope.TASKS_CREATE]
    key = issue_key(
        organisation_id=house.organisation.id, name="Boss", role=Role.MANAGER, scopes=scopes
    )
    boss, body = Caller(key), {"name": "Trial", "scopes": ["tasks:create"], "mode": "test"}
    made = boss.post("/v1/api-keys", body)
    assert (made.status_code, made.json()["mode"]) == (201, "test")
    trial = Caller(made.json()["api_key"])
    assert trial.key.startswith(TEST)
    answer = trial.post("/v1/tasks", contract())
    assert (answer.status_code, answer["BioLayer-Sandbox"]) == (201, "true")
    listed = {one["key_id"]: one["mode"] for one in boss.get("/v1/api-keys").json()["data"]}
    assert listed[made.json()["key_id"]] == "test"
    assert set(listed.values()) == {"live", "test"}
    rotated = boss.post(f"{made['Location']}/rotate", {"overlap_seconds": 0})
    assert rotated.json()["api_key"].startswith(TEST)
    assert boss.call("DELETE", made["Location"]).status_code == 204
    assert Caller(rotated.json()["api_key"]).get("/v1/tasks").status_code == 401


def test_api_keys__of_mode_test_have_every_pool_and_no_worker(house: House) -> None:
    scopes = [Scope.CREDENTIALS_MANAGE, Scope.TASKS_READ]
    limits = {"name": "Boss", "role": Role.ADMIN, "scopes": scopes}
    boss = Caller(issue_key(organisation_id=house.organisation.id, **limits))
    body = {"name": "Trial", "scopes": ["tasks:read"], "mode": "test"}
    with expect_unchanged():
        for field, value in (("pool_ids", [str(house.pool.id)]), ("worker_id", NO_ID)):
            refused = boss.post("/v1/api-keys", {**body, field: value})
            assert faults(refused) == {f"/{field}": "not_for_test_keys"}
    limited = Caller(
        issue_key(organisation_id=house.organisation.id, pool_ids=[house.pool.id], **limits)
    )
    with expect_unchanged():
        assert limited.post("/v1/api-keys", body).status_code == 403


def test_response__of_a_test_key_says_so(house: House) -> None:
    test = sandboxed(house)
    task_id = posted(test)["task_id"]
    calls = [
        test.get("/v1/tasks"),
        test.get(f"/v1/tasks/{task_id}"),
        test.get("/v1/tasks/unknown"),
        test.post("/v1/tasks", {}),
        test.get("/v1/offers"),
        test.post("/v1/tasks", contract(), **{"Idempotency-Key": "k"}),
        test.post("/v1/tasks", contract(), **{"Idempotency-Key": "k"}),
    ]
    assert [call.status_code for call in calls] == [200, 200, 404, 422, 403, 201, 201]
    assert [call["BioLayer-Sandbox"] for call in calls] == ["true"] * 7
    lives = [house.alice.get("/v1/tasks"), house.alice.get("/v1/tasks/unknown")]
    lives.append(Caller(f"{TEST}unknown").get("/v1/tasks"))
    assert not any(live.has_header("BioLayer-Sandbox") for live in lives)


def test_networks__of_the_live_organisation_bind_test_keys(house: House) -> None:
    test = sandboxed(house)
    networks = Organisation.objects.filter(id=house.organisation.id)
    networks.update(allowed_networks=["192.0.2.0/24"])
    expect_problem(test.get("/v1/tasks"), 403, "address_not_allowed")
    networks.update(allowed_networks=["127.0.0.0/8"])
    assert test.get("/v1/tasks").status_code == 200


def test_networks__of_the_live_organisation_bind_clients_of_the_sandbox(house: House) -> None:
    manager = credentials_manager(house, is_test=True)
    cc = {"grant_types": ["client_credentials"], "redirect_uris": []}
    client = created(manager, **cc, scopes=["tasks:read"], role="viewer")
    form = {
        "grant_type": "client_credentials",
        "client_id": client["client_id"],
        "client_secret": client["client_secret"],
    }
    token = Client().post("/oauth/token", form).json()["access_token"]
    assert Caller(token).get("/v1/tasks").status_code == 200
    networks = Organisation.objects.filter(id=house.organisation.id)
    networks.update(allowed_networks=["192.0.2.0/24"])
    expect_problem(Caller(token).get("/v1/tasks"), 403, "address_not_allowed")
    assert Client().post("/oauth/token", form).status_code == 401


def test_networks__of_the_live_organisation_bind_links_of_the_sandbox(house: House) -> None:
    manager = credentials_manager(house, is_test=True)
    missing = f"/v1/evidence/{NO_ID}/content"
    link = Links(manager.principal, clock.now()).to(missing).url
    expect_problem(Client().get(link), 404, "not_found")
    networks = Organisation.objects.filter(id=house.organisation.id)
    networks.update(allowed_networks=["192.0.2.0/24"])
    expect_problem(Client().get(link), 403, "address_not_allowed")


# --- the sandbox itself ---------------------------------------------------------------------------


def test_ensure_sandbox__once_and_complete(house: House) -> None:
    own = ensure_sandbox(organisation_id=house.organisation.id)
    assert own == sandbox_id(house.organisation.id)
    assert ensure_sandbox(organisation_id=house.organisation.id) == own
    assert ensure_sandbox(organisation_id=own) == own
    row = Organisation.objects.get(sandbox_of=house.organisation)
    assert (row.id, row.name, row.tenant_id) == (
        own,
        "Northwind Verification",
        house.organisation.tenant_id,
    )
    pool = Pool.objects.get(organisation_id=own)
    assert (pool.name, pool.misses_until_away) == ("Sandbox", None)
    workers = list(Worker.objects.filter(organisation_id=own))
    assert len(workers) == 3
    assert all(is_of_sandbox(worker.id) for worker in workers)
    assert Membership.objects.filter(pool=pool).count() == 3


def test_ensure_sandbox__replaces_a_closed_pool_and_deleted_workers(house: House) -> None:
    test = sandboxed(house)
    (pool,) = Pool.objects.filter(organisation_id=sandbox_of(house))
    gone = Worker.objects.filter(organisation_id=sandbox_of(house)).first()
    assert gone is not None
    assert test.call("DELETE", f"/v1/workers/{gone.id}").status_code == 204
    assert test.call("DELETE", f"/v1/pools/{pool.id}").status_code == 204
    sandboxed(house)
    opened = Pool.objects.get(organisation_id=sandbox_of(house), status=PoolStatus.ACTIVE)
    assert Membership.objects.filter(pool=opened).count() == 3
    task = posted(test, requirements={"worker_pool_id": str(house.pool.id)})
    run_drains()
    assert shown(test, task)["status"] == "completed"


@pytest.mark.parametrize(
    ("row", "constraint"),
    [
        ("another id", "organisation_sandbox_has_its_id"),
        ("a sandbox of a sandbox", "organisation_sandbox_has_its_id"),
        ("a live one with such an id", "organisation_live_has_no_sandbox_id"),
        ("a second one", "accounts_organisation_pkey"),
    ],
)
def test_postgresql__refuses(house: House, row: str, constraint: str) -> None:
    live = house.organisation
    own = ensure_sandbox(organisation_id=live.id)
    values: dict[str, dict[str, Any]] = {
        "another id": {"id": new_id(), "sandbox_of_id": live.id},
        "a sandbox of a sandbox": {"id": sandbox_id(own), "sandbox_of_id": own},
        "a live one with such an id": {"id": sandbox_id(new_id())},
        "a second one": {"id": own, "sandbox_of_id": live.id},
    }
    with expect_unchanged(), pytest.raises(IntegrityError, match=constraint):
        Organisation(tenant_id=live.tenant_id, name="x", **values[row]).save(force_insert=True)


def test_step__is_never_in_a_live_organisation(house: House) -> None:
    sandboxed(house)
    simulated = Worker.objects.filter(organisation_id=sandbox_of(house)).first()
    assert simulated is not None
    mine, _ = worker_in(Pool.objects.get(organisation_id=sandbox_of(house)))
    for organisation_id, worker_id in (
        (house.organisation.id, house.bobs_worker.id),
        (sandbox_of(house), mine.id),
    ):
        with pytest.raises(IntegrityError, match="step_is_in_a_sandbox"):
            SimulatedStep.objects.create(
                organisation_id=organisation_id,
                kind=StepKind.ANSWER,
                subject_id=new_id(),
                worker_id=worker_id,
                due_at=clock.now(),
            )
    with pytest.raises(IntegrityError, match="sandbox_step_worker_id_in_organisation"):
        SimulatedStep.objects.create(
            organisation_id=sandbox_id(new_id()),
            kind=StepKind.ANSWER,
            subject_id=new_id(),
            worker_id=simulated.id,
            due_at=clock.now(),
        )


def test_create_organisation__prints_a_test_key_and_its_secret(house: House) -> None:
    printed = io.StringIO()
    call_command("create_organisation", "Fabrikam", stdout=printed)
    values = dict(line.split(maxsplit=1) for line in printed.getvalue().splitlines()[:-1])
    test = Caller(values["test_api_key"])
    assert test.principal.organisation_id == sandbox_id(UUID(values["org_id"]))
    own, live = (
        keys_of([organisation_id])[organisation_id][0]
        for organisation_id in (sandbox_id(UUID(values["org_id"])), UUID(values["org_id"]))
    )
    assert (own, live) == (values["test_webhook_secret"], values["webhook_secret"])


def test_demo__of_an_earlier_version_gets_a_sandbox(house: House, tmp_path: Path) -> None:
    addresses = dict.fromkeys(("base_url", "inbox_url", "stream_url", "sign_in_url"), "http://a")
    first = seed(**addresses, home=tmp_path)
    file = tmp_path / "demo.json"
    earlier = json.loads(file.read_text())
    for name in ("test_api_key", "test_webhook_secret"):
        earlier.pop(name)
    file.write_text(json.dumps(earlier))
    second = seed(**addresses, home=tmp_path)
    assert (second.api_key, second.org_id) == (first.api_key, first.org_id)
    own = sandbox_id(UUID(second.org_id))
    assert Caller(second.test_api_key).principal.organisation_id == own
    assert seed(**addresses, home=tmp_path) == second


# --- contracts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["live", "sandbox"])
def test_the_live_contract__is_completed_with_another_key(house: House, owner: str) -> None:
    test = sandboxed(house)
    org_id = house.organisation.id if owner == "live" else sandbox_of(house)
    body = page_example(
        org_id=org_id,
        pool_id=house.pool.id,
        callback_url="http://127.0.0.1:9/hook",
        deadline=soon(hours=1),
    )
    response = test.post("/v1/tasks", body)
    assert response.status_code == 201, response.content
    made = response.json()
    # What it asks for is returned as it was sent, the live pool included
    asked = {name: made["requirements"][name] for name in body["requirements"]}
    assert asked == body["requirements"]
    run_drains()
    done = shown(test, made)
    assert (done["status"], events(test, made)) == ("completed", NINE)
    assert set(done["output"]) == set(SCHEMA)
    assert done["requirements"] == made["requirements"]
    (evidence,) = Evidence.objects.all()
    assert (evidence.content_type, evidence.is_submitted) == ("text/plain", True)
    assert evidence.organisation_id == sandbox_of(house)
    assert test.post("/v1/tasks", body).status_code == 200  # its natural key


def test_natural_key__is_apart_from_the_live_one(house: House) -> None:
    origin = {"product": "threatlabs", "request_id": "IR-1"}
    live = posted(house.alice, origin=origin)
    test = posted(sandboxed(house), origin=origin)
    assert live["task_id"] != test["task_id"]


def test_batch__names_live_pools(house: House) -> None:
    test = sandboxed(house)
    other = provision_pool(organisation_id=house.organisation.id, name="Night desk")
    needs = [{"worker_pool_id": str(pool.id)} for pool in (house.pool, other)]
    response = test.post("/v1/tasks/batch", [contract(requirements=need) for need in needs])
    made = [result["task"] for result in response.json()["data"]]
    assert [task["requirements"]["worker_pool_id"] for task in made] == (
        [need["worker_pool_id"] for need in needs]
    )
    run_drains()
    assert [shown(test, task)["status"] for task in made] == ["completed"] * 2


@pytest.mark.parametrize("pool", ["a stranger's", "a closed one", "unknown"])
def test_contract__with_a_pool_that_is_not_theirs(house: House, pool: str) -> None:
    test = sandboxed(house)
    closed = provision_pool(organisation_id=house.organisation.id, name="Closed")
    pools.close_pool(actor=house.alice.principal, pool_id=closed.id, at=clock.now())
    ids = {"a stranger's": house.strangers_pool.id, "a closed one": closed.id, "unknown": new_id()}
    body = contract(requirements={"worker_pool_id": str(ids[pool])})
    with expect_unchanged():
        problem = expect_problem(test.post("/v1/tasks", body), 422, "invalid_input")
    assert problem["errors"][0]["code"] == "unknown_pool"


def test_live_contract__must_not_name_the_sandbox(house: House) -> None:
    own = ensure_sandbox(organisation_id=house.organisation.id)
    pool = Pool.objects.get(organisation_id=own)
    body = contract(origin={"org_id": str(own)})
    expect_problem(house.alice.post("/v1/tasks", body), 403, "organisation_mismatch")
    body = contract(requirements={"worker_pool_id": str(pool.id)})
    expect_problem(house.alice.post("/v1/tasks", body), 422, "invalid_input")
    stranger = contract(origin={"org_id": str(house.organisation.id)})
    sandbox_of_charlie = Caller(
        issue_key(organisation_id=house.charlie.principal.organisation_id, name="c", is_test=True)
    )
    expect_problem(sandbox_of_charlie.post("/v1/tasks", stranger), 403, "organisation_mismatch")


def test_own_worker__of_a_sandbox_is_not_simulated(house: House) -> None:
    test = sandboxed(house)
    own_pool = Pool.objects.create(organisation_id=sandbox_of(house), name="Our app's tests")
    _, app = worker_in(own_pool, name="Our app")
    assert app.key.startswith(TEST)
    task = posted(test, requirements={"worker_pool_id": str(own_pool.id)})
    run_drains()
    assert shown(test, task)["status"] == "offered"
    (offer,) = app.get("/v1/offers").json()["data"]
    assert app.post(f"/v1/offers/{offer['offer_id']}/accept", {}).status_code == 200
    run_drains()
    assert (shown(test, task)["status"], SimulatedStep.objects.count()) == ("accepted", 0)


# --- nothing is shared ----------------------------------------------------------------------------


def test_neither_side__sees_the_other(house: House) -> None:
    test = sandboxed(house)
    mine, live = posted(test), posted(house.alice)
    for caller, own, foreign in ((test, mine, live), (house.alice, live, mine)):
        assert [task["task_id"] for task in caller.get("/v1/tasks").json()["data"]] == (
            [own["task_id"]]
        )
        for path in ("", "/events", "/match"):
            unknown = caller.get(f"/v1/tasks/{new_id()}{path}")
            hidden = caller.get(f"/v1/tasks/{foreign['task_id']}{path}")
            assert expect_problem(hidden, 404) | {"request_id": "", "instance": ""} == (
                expect_problem(unknown, 404) | {"request_id": "", "instance": ""}
            )
        cancelled = caller.post(f"/v1/tasks/{foreign['task_id']}/cancel", {})
        expect_problem(cancelled, 404)
        feed = caller.get("/v1/events?after=beginning").json()["data"]
        assert {event["task_id"] for event in feed} == {own["task_id"]}
        for path in ("/v1/pools", "/v1/workers", "/v1/webhook-endpoints", "/v1/deliveries"):
            listed = caller.get(path).json()["data"]
            names = {item.get("name", "") for item in listed}
            assert not names & ({"Sandbox"} if caller is house.alice else {"Front desk"})


def test_live_task__is_not_done_by_simulated_workers(house: House) -> None:
    sandboxed(house)
    house.bobs_worker.presence = "offline"
    house.bobs_worker.save()
    live = posted(house.alice, title="[fail] A live task has no magic words")
    run_drains()
    assert shown(house.alice, live)["status"] == "queued"
    Worker.objects.filter(id=house.bobs_worker.id).update(presence="available")
    run_drains()
    (offer,) = house.bob.get("/v1/offers").json()["data"]
    assert (offer["task"]["task_id"], SimulatedStep.objects.count()) == (live["task_id"], 0)


# --- magic words ----------------------------------------------------------------------------------


def test_decline__two_workers_decline_and_the_third_completes(house: House) -> None:
    test = sandboxed(house)
    task = posted(test, title="Verify it [decline]")
    run_drains()
    assert events(test, task) == ["created", *OFFERED, *OFFERED, *OFFERED, *HELD]
    log = test.get(f"/v1/tasks/{task['task_id']}/events").json()["data"]
    reasons = [event["data"].get("reason") for event in log if event["type"] == "task.queued"]
    assert reasons == [None, "offer_declined", "offer_declined"]


def test_expire__the_first_offer_expires_after_seconds(house: House) -> None:
    test = sandboxed(house)
    task = posted(test, title="[EXPIRE] Verify it")
    at = clock.now()
    run_drains(at)
    run_drains(at + timedelta(seconds=4.9))
    assert shown(test, task)["status"] == "offered"
    run_drains(at + timedelta(seconds=5))
    assert events(test, task) == ["created", *OFFERED, *OFFERED, *HELD]
    log = test.get(f"/v1/tasks/{task['task_id']}/events").json()["data"]
    assert [event["data"].get("reason") for event in log if event["type"] == "task.queued"] == (
        [None, "offer_expired"]
    )


def test_fail__after_all_attempts(house: House) -> None:
    test = sandboxed(house)
    task = posted(test, title="[fail] Verify it")
    run_drains()
    failed = shown(test, task)
    assert (failed["status"], failed["close_reason"]) == ("failed", "attempts_exhausted")
    assert failed["attempt"] == 3
    assert list(Run.objects.values_list("status", "error")) == [("failed", "[fail]")] * 3


def test_breach__the_clocks_run_out_after_seconds(house: House) -> None:
    test = sandboxed(house)
    sla = {"target_latency_seconds": 600, "deadline": soon(days=7).isoformat()}
    task = posted(test, title="[breach] Verify it", sla=sla)
    at = Task.objects.get(id=task["task_id"]).created_at
    run_drains(at)
    run_drains(at + timedelta(seconds=1.7))
    run_drains(at + timedelta(seconds=2))
    assert shown(test, task)["status"] == "started"
    run_drains(at + timedelta(seconds=3))
    done = shown(test, task)
    assert (done["status"], done["sla"]["target_latency_seconds"]) == ("completed", 600)
    assert {breach["breach"] for breach in done["sla"]["breaches"]} == {
        "deadline",
        "target_latency",
    }
    log = test.get(f"/v1/tasks/{task['task_id']}/events").json()["data"]
    told = [event for event in log if event["type"] == "task.sla_breached"]
    assert [event["data"]["due_at"] for event in told] == (
        [breach["due_at"] for breach in done["sla"]["breaches"]]
    )
    assert events(test, task).count("sla_at_risk") == 2
    assert events(test, task).index("sla_breached") < events(test, task).index("submitted")


def test_slow__a_minute_for_each_step(house: House) -> None:
    test = sandboxed(house)
    task = posted(test, title="[slow] Verify it")
    at = clock.now()
    for seconds, status in ((0, "accepted"), (59, "accepted"), (61, "started"), (122, "completed")):
        run_drains(at + timedelta(seconds=seconds))
        assert shown(test, task)["status"] == status


def test_no_worker__is_matched_with_none_until_its_policy_ends(house: House) -> None:
    test = sandboxed(house)
    policy = {"steps": [{"after_seconds": 30, "notify": True}], "at_end": "fail"}
    task = posted(test, title="[no-worker] Verify it", requirements={"escalation": policy})
    at = clock.now()
    run_drains(at)
    assert shown(test, task)["status"] == "queued"
    match = test.get(f"/v1/tasks/{task['task_id']}/match").json()
    assert (match["workers"]["in_pools"], match["workers"]["eligible"]) == (3, 0)
    run_drains(at + timedelta(seconds=61))
    failed = shown(test, task)
    assert (failed["status"], failed["close_reason"]) == ("failed", "nobody_found")


def test_cancel__drops_what_was_to_be_done(house: House) -> None:
    test = sandboxed(house)
    task = posted(test, title="[slow] Verify it")
    at = clock.now()
    run_drains(at)
    cancelled = test.post(f"/v1/tasks/{task['task_id']}/cancel", {"reason": "enough"})
    assert cancelled.json()["status"] == "cancelled"
    assert SimulatedStep.objects.count() == 1
    run_drains(at + timedelta(seconds=61))
    assert (events(test, task)[-1], SimulatedStep.objects.count()) == ("cancelled", 0)


# --- outputs --------------------------------------------------------------------------------------

ADDRESS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    "output",
    [
        {"schema": {"ok": "boolean", "at": "date-time", "count": "integer", "none": "null"}},
        {"expected_format": "text"},
        {"expected_format": "file"},
        {"schema": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 3,
                    "$defs": {"a": ADDRESS}}},
        {"schema": {"type": "object", "required": ["n", "e"], "properties": {
            "n": {"type": "number", "exclusiveMinimum": 5, "multipleOf": 5},
            "e": {"enum": ["yes", "no"]}, "long": {"type": "string", "minLength": 200}}}},
    ],
    ids=["flat", "text", "file", "array", "bounds"],
)  # fmt: skip
def test_output__satisfies_its_contract(house: House, output: dict[str, Any]) -> None:
    test = sandboxed(house)
    task = posted(test, output=output)
    run_drains()
    assert events(test, task) == NINE
    needs_file = output.get("expected_format") == "file"
    assert Evidence.objects.filter(is_submitted=True).count() == int(needs_file)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "object", "required": ["code"], "properties": {
            "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"}}}, "/output/code: "),
        ({"type": "string", "minLength": 10_000_000}, "a text is too long"),
        ({"type": "array", "minItems": 10_000_000, "items": {}}, "an array is too long"),
        ({"not": {}}, "/output: "),
    ],
    ids=["a pattern", "a long text", "a long array", "nothing"],
)  # fmt: skip
def test_output__that_cannot_be_generated_fails_the_task(
    house: House, schema: dict[str, Any], text: str
) -> None:
    test = sandboxed(house)
    task = posted(test, output={"schema": schema, "expected_format": "structured_json"})
    run_drains()
    failed = shown(test, task)
    assert failed["status"] == "failed"
    reason = failed["close_reason"]
    assert reason.startswith("The sandbox cannot generate an output for this schema. ")
    assert text in reason
    assert (failed["attempt"], events(test, task)[-1]) == (1, "failed")
    workers = Worker.objects.filter(organisation_id=sandbox_of(house))
    assert set(workers.values_list("load", flat=True)) == {0}
    assert Run.objects.get().status == "failed"


def test_sandbox_keys__carry_their_scopes(house: House) -> None:
    key = issue_key(
        organisation_id=house.organisation.id, name="r", scopes=[Scope.TASKS_READ], is_test=True
    )
    expect_problem(Caller(key).post("/v1/tasks", contract()), 403, "scope_missing")
    assert UUID(str(Caller(key).principal.organisation_id)) == sandbox_of(house)
