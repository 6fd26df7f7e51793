"""Test the token buckets of credentials, organisations and failed authentications."""

import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.db import connection
from django.test import Client

from apps.accounts.keys import KeyText, new_key
from apps.accounts.models import ApiKey
from apps.accounts.scopes import Role, Scope
from apps.accounts.selectors import authenticate_key
from apps.accounts.selectors.authentication import KEY
from apps.accounts.services import issue_key
from apps.api.http import rate_limits
from apps.api.http.rate_limits import Bucket, take
from apps.base import crypto
from tests.api.expect import expect_problem
from tests.concurrency.together import together
from tests.factories import Caller, House, contract

# As in production: the other tests let Redis be slower.
BOUND_SECONDS = 0.05


def bucket(*, per_minute: int = 6, burst: int = 3, policy: str = "key") -> Bucket:
    return Bucket(policy, f"biolayer:rate:test:{uuid4()}", per_minute, burst)


@pytest.fixture(params=["redis", "local"])
def place(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Count in Redis, and in the process alone."""
    if request.param == "local":
        without_redis(monkeypatch)
    return str(request.param)


def without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a limiter whose Redis does not exist."""
    no_retry = rate_limits.Retry(rate_limits.NoBackoff(), 0)
    gone = redis.Redis(unix_socket_path="/nonexistent/redis.sock", retry=no_retry)
    monkeypatch.setattr(rate_limits, "_client", lambda: gone)
    monkeypatch.setattr(rate_limits, "_limiter", rate_limits._Limiter())
    limiter = rate_limits._limiter
    for module in ("throttling", "authentication", "oauth"):
        monkeypatch.setattr(f"apps.api.http.{module}.take", limiter.take)
    monkeypatch.setitem(globals(), "take", limiter.take)


# --- buckets --------------------------------------------------------------------------------------


def test_take__the_burst_and_no_more(place: str) -> None:
    one = bucket(per_minute=6, burst=3)
    verdicts = [take([one]) for _ in range(5)]
    assert [verdict.is_allowed for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.levels[0].remaining for verdict in verdicts] == [2, 1, 0, 0, 0]
    assert 9 <= verdicts[-1].retry_after <= 10


def test_take__refills_at_the_rate(place: str) -> None:
    one = bucket(per_minute=600, burst=2)
    assert [take([one]).is_allowed for _ in range(3)] == [True, True, False]
    time.sleep(0.12)
    assert take([one]).is_allowed
    time.sleep(0.5)
    # No more than the burst is saved up.
    assert [take([one]).is_allowed for _ in range(3)] == [True, True, False]


def test_take__of_all_buckets_or_of_none(place: str) -> None:
    small, large = bucket(burst=1), bucket(burst=5, policy="organisation")
    assert take([small, large]).is_allowed
    for _ in range(3):
        refused = take([small, large])
        assert not refused.is_allowed
        assert [level.bucket.policy for level in refused.exhausted] == ["key"]
    assert take([large]).levels[0].remaining == 3


@pytest.mark.parametrize("per_minute", [1, 7, 60, 1000, 60_000, 100_000_000])
def test_take__counts_exactly_at_any_rate(place: str, per_minute: int) -> None:
    one = bucket(per_minute=per_minute, burst=5)
    first = take([one])
    assert first.is_allowed
    assert first.levels[0].remaining in ({4} if per_minute < 60_000 else {4, 5})


def test_take__concurrent_calls_get_the_burst_together() -> None:
    one = bucket(per_minute=1, burst=10)
    verdicts = together(*[lambda: take([one]) for _ in range(30)])
    assert Counter(verdict.is_allowed for verdict in verdicts) == {True: 10, False: 20}


def test_take__survives_a_flush_of_scripts() -> None:
    one = bucket(burst=2)
    assert take([one]).is_allowed
    rate_limits._client().script_flush()
    assert [take([one]).is_allowed for _ in range(2)] == [True, False]


def test_take__leaves_nothing_in_redis_for_ever() -> None:
    one = bucket(per_minute=60, burst=60)
    take([one])
    assert 60 <= rate_limits._client().ttl(one.key) <= 62


def test_local_buckets__are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_LOCAL", 100)
    local = rate_limits._LocalBuckets()
    for _ in range(350):
        local.take([bucket(), bucket()])
        assert len(local._full_at) <= 102


def test_without_redis__limits_hold_and_no_call_waits(
    house: House, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_redis(monkeypatch)
    settings.RATE_LIMIT_PER_MINUTE = 3
    codes = [house.alice.get("/v1/tasks").status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]


def test_a_silent_redis__delays_one_call_by_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect to a server that accepts and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = redis.Redis(
            port=listener.getsockname()[1],
            socket_timeout=BOUND_SECONDS,
            socket_connect_timeout=BOUND_SECONDS,
            retry=rate_limits.Retry(rate_limits.NoBackoff(), 0),
        )
        monkeypatch.setattr(rate_limits, "_client", lambda: silent)
        limiter, one = rate_limits._Limiter(), bucket(burst=100)
        seconds = []
        for _ in range(20):
            began = time.perf_counter()
            assert limiter.take([one]).is_allowed
            seconds.append(time.perf_counter() - began)
        silent.close()
    assert BOUND_SECONDS <= seconds[0] < BOUND_SECONDS * 4
    assert sorted(seconds[1:])[10] < 0.01


# --- calls ----------------------------------------------------------------------------------------


def test_organisation__its_keys_share_a_bucket(house: House, settings: Any) -> None:
    settings.RATE_LIMIT_PER_MINUTE, settings.ORGANISATION_RATE_LIMIT_PER_MINUTE = 3, 4
    second = Caller(issue_key(organisation_id=house.organisation.id, name="Second"))
    assert [house.alice.get("/v1/tasks").status_code for _ in range(3)] == [200] * 3
    answers = [second.get("/v1/tasks") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    body = expect_problem(answers[1], 429, "rate_limited")
    assert body["violated-policies"] == ["organisation"]
    # A refused call takes nothing from the key's own bucket.
    assert '"key";r=2' in answers[1]["RateLimit"]
    assert house.charlie.get("/v1/tasks").status_code == 200


def test_burst__limits_calls_at_once(house: House, settings: Any) -> None:
    settings.RATE_LIMIT_PER_MINUTE, settings.RATE_BURST = 60, 2
    answers = [house.alice.get("/v1/tasks") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2]["Retry-After"] == "1"
    assert '"key";q=2;w=2' in answers[0]["RateLimit-Policy"]


def test_both_secrets_of_a_key__share_a_bucket(house: House, settings: Any) -> None:
    text = issue_key(
        organisation_id=house.organisation.id,
        name="Manager",
        scopes=[Scope.CREDENTIALS_MANAGE, Scope.TASKS_READ],
        role=Role.MANAGER,
    )
    first = Caller(text)
    path = f"/v1/api-keys/{first.principal.key_id}/rotate"
    settings.RATE_LIMIT_PER_MINUTE = 3
    second = Caller(first.post(path, {}).json()["api_key"])
    codes = [caller.get("/v1/tasks").status_code for caller in (first, second, second)]
    # The rotation was the first call.
    assert codes == [200, 200, 429]


def test_headers__follow_the_draft(house: House) -> None:
    """Check the structured fields of draft-ietf-httpapi-ratelimit-headers-10."""
    answer = house.alice.get("/v1/tasks")
    policy = r'"(key|organisation)";q=\d+;w=\d+'
    limit = r'"(key|organisation)";r=\d+;t=\d+'
    assert re.fullmatch(f"{policy}, {policy}", answer["RateLimit-Policy"])
    assert re.fullmatch(f"{limit}, {limit}", answer["RateLimit"])


# --- wrong credentials ----------------------------------------------------------------------------


@pytest.fixture
def fresh_failures() -> Iterator[None]:
    """Forget the failed authentications of other tests before and after."""

    def forget() -> None:
        for key in rate_limits._client().scan_iter("biolayer:rate:failures:*"):
            rate_limits._client().delete(key)

    forget()
    yield
    forget()


def wrong_keys(house: House) -> Iterator[str]:
    """Yield keys in turn with an unknown id and with a wrong secret, all well-formed."""
    known = house.alice.principal.key_id
    while True:
        yield str(new_key())
        yield str(KeyText(known, new_key().secret))


WRONG_KEYS = 1_000
"""`bench/wrong_keys.py` sends ten times as many."""


@pytest.mark.usefixtures("fresh_failures")
def test_wrong_keys__are_limited_and_lock_no_key_out(house: House, settings: Any) -> None:
    settings.FAILURE_LIMIT_PER_MINUTE = 100
    attacker, codes, good = Client(), Counter[int](), Counter[int]()
    began = time.monotonic()
    keys = wrong_keys(house)
    for number in range(WRONG_KEYS):
        headers = {"Authorization": f"Bearer {next(keys)}"}
        codes[attacker.get("/v1/tasks", headers=headers).status_code] += 1
        if number % 50 == 0:
            # From the same address, with the key that is being guessed.
            good[house.alice.get("/v1/tasks").status_code] += 1
    minutes = (time.monotonic() - began) / 60
    assert good == {200: 20}
    assert codes[401] + codes[429] == WRONG_KEYS
    assert 100 <= codes[401] <= 101 + 100 * minutes
    assert ApiKey.objects.get(id=house.alice.principal.key_id).revoked_at is None


@pytest.mark.usefixtures("fresh_failures")
def test_failures__are_limited_for_each_address(house: House, settings: Any) -> None:
    settings.FAILURE_LIMIT_PER_MINUTE = 2

    def call(address: str, credential: str) -> Any:
        headers = {"Authorization": f"Bearer {credential}"}
        return Client(REMOTE_ADDR=address).get("/v1/tasks", headers=headers)

    for credential in (str(new_key()), "a-token", "bl_live_mistyped"):
        last = call("203.0.113.9", credential)
    body = expect_problem(last, 429, "rate_limited")
    assert body["violated-policies"] == ["failures"]
    assert 1 <= int(last["Retry-After"]) <= 30
    assert call("203.0.113.10", str(new_key())).status_code == 401
    assert call("203.0.113.9", house.alice.key).status_code == 200


@pytest.mark.usefixtures("fresh_failures")
def test_refused_address__counts_as_a_failure(house: House, settings: Any) -> None:
    settings.FAILURE_LIMIT_PER_MINUTE = 2
    text = issue_key(
        organisation_id=house.organisation.id, name="Near", allowed_networks=["192.0.2.0/24"]
    )
    far = Caller(text, Client(REMOTE_ADDR="203.0.113.9"))
    assert [far.get("/v1/tasks").status_code for _ in range(3)] == [403, 403, 429]
    near = Caller(text, Client(REMOTE_ADDR="192.0.2.9"))
    assert [near.get("/v1/tasks").status_code for _ in range(3)] == [200] * 3
    other = Caller(house.alice.key, Client(REMOTE_ADDR="203.0.113.9"))
    assert other.get("/v1/tasks").status_code == 200


def test_wrong_keys__are_the_same_work(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare what an unknown id and a wrong secret cost: statements, rows and hashes.

    Equal work takes equal time, which a test could not measure; `bench/wrong_keys.py` does.
    """
    hashes: list[tuple[str, int]] = []
    real = crypto.keyed_hash

    def counted(purpose: str, value: bytes) -> bytes:
        hashes.append((purpose, len(value)))
        return real(purpose, value)

    monkeypatch.setattr(crypto, "keyed_hash", counted)
    sent: list[tuple[str, int]] = []

    def watched(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        sent.append((sql, context["cursor"].rowcount))
        return result

    work = []
    for key in (new_key(), KeyText(house.alice.principal.key_id, new_key().secret)):
        hashes.clear()
        sent.clear()
        with connection.execute_wrapper(watched):
            assert authenticate_key(str(key)) is None
        work.append(([*sent], [*hashes]))
    assert work[0] == work[1] == ([(KEY, 0)], [("api-key", 45)])


def test_refused_address__is_named_with_its_list(house: House, settings: Any) -> None:
    text = issue_key(
        organisation_id=house.organisation.id, name="Near", allowed_networks=["192.0.2.0/24"]
    )
    body = expect_problem(Caller(text).get("/v1/tasks"), 403, "address_not_allowed")
    assert body["missing"] == {"network": "127.0.0.1", "list": "key"}
    house.organisation.allowed_networks = ["192.0.2.0/25"]
    house.organisation.save()
    near = Caller(text, Client(REMOTE_ADDR="192.0.2.200"))
    body = expect_problem(near.post("/v1/tasks", contract()), 403, "address_not_allowed")
    assert body["missing"] == {"network": "192.0.2.200", "list": "organisation"}
    assert Caller(text, Client(REMOTE_ADDR="192.0.2.100")).get("/v1/tasks").status_code == 200
