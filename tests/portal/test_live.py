"""Test `/portal/stream` in the real process: who may read it, and what it says when."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psutil
import pytest
from django.conf import settings
from django.db import connection

from apps.accounts.models import BrowserSession, Member
from apps.accounts.scopes import Role
from apps.base import clock
from apps.base.db_threads import LINGER_SECONDS
from apps.matching import services as matching
from apps.matching.live import changes_for_workers
from apps.matching.models import Offer
from apps.pools.models import Pool, Worker
from apps.portal.live import ACCESS_CHECK_SECONDS
from apps.tasks import services as tasks
from tests.factories import House, member_of, worker_in
from tests.pages.steps import browser, sign_in
from tests.portal.steps import Desk, desk_of
from tests.review_steps import decide, in_review, set_policy
from tests.review_steps import reviewer as key_of
from tests.streaming import Frame, StreamServer, frames_of, stream_server

# The process runs as in production: behind a proxy that ends TLS.
PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}


@pytest.fixture(scope="module")
def server(migrated_database: None, django_db_blocker: Any) -> Iterator[StreamServer]:
    with django_db_blocker.unblock(), stream_server(BIOLAYER_TRUSTED_PROXIES="1") as running:
        yield running


@pytest.fixture
def bob(house: House) -> Desk:
    """Provide Bob's browser."""
    return desk_of(house)


def headers_of(client: Any) -> dict[str, str]:
    """Return the headers with which a browser asks for the stream."""
    cookie = client.cookies.get(settings.SESSION_COOKIE_NAME)
    value = cookie.value if cookie else "unknown"
    return {**PROXIED, "Cookie": f"__Host-session={value}"}


def refused(server: StreamServer, client: Any, **headers: str) -> tuple[int, str]:
    """Return status and code of a stream that is refused."""
    answer = httpx.get(f"{server.url}/portal/stream", headers={**headers_of(client), **headers})
    return answer.status_code, answer.text


def told(lines: Iterator[str]) -> Iterator[Frame]:
    """Yield frames without keep-alives, for a minute at most."""
    ends = time.monotonic() + 60
    for frame in frames_of(lines):
        assert time.monotonic() < ends, "nothing was told within a minute"
        if frame.event:
            yield frame


@contextmanager
def watching(server: StreamServer, client: Any) -> Iterator[Iterator[Frame]]:
    """Yield the frames of a portal's stream, without keep-alives, after the first."""
    url = f"{server.url}/portal/stream"
    with httpx.stream("GET", url, headers=headers_of(client), timeout=30) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["Content-Type"] == "text/event-stream"
        frames = told(response.iter_lines())
        assert next(frames).event == "connected"
        yield frames


def eventually(look: Callable[[], bool], what: str, seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def until(frames: Iterator[Frame], topic: str) -> Frame:
    """Return the first frame that tells of a topic."""
    return next(frame for frame in frames if topic in frame.data)


# --- what it says ---------------------------------------------------------------------------------


def test_offer__is_told_to_its_worker_within_a_second(
    house: House, bob: Desk, server: StreamServer
) -> None:
    with watching(server, bob.client) as frames:
        for number in range(5):
            Worker.objects.filter(id=bob.worker.id).update(load=0)
            task = house.queued(title=f"Call {number}")
            assert matching.match_queued() == 1
            committed = time.monotonic()
            while str(task.id) not in until(frames, "offers").data["offers"]:
                pass
            assert time.monotonic() - committed < 1.0


def test_offer__that_ends_is_told_as_well(house: House, bob: Desk, server: StreamServer) -> None:
    offer = house.offered()
    with watching(server, bob.client) as frames:
        tasks.cancel_task(
            actor=house.alice.principal, task_id=offer.task_id, reason="", at=clock.now()
        )
        assert until(frames, "offers").data["offers"] == [str(offer.task_id)]


def test_broadcast__the_others_are_told_who_came_first(
    house: House, bob: Desk, server: StreamServer
) -> None:
    Pool.objects.filter(id=house.pool.id).update(offer_mode="broadcast")
    _, jonas = worker_in(house.pool)
    task = house.queued()
    assert matching.match_queued() == 1
    with watching(server, bob.client) as frames:
        offer = Offer.objects.get(worker_id=jonas.principal.worker_id)
        matching.accept_offer(actor=jonas.principal, offer_id=offer.id, at=clock.now())
        assert until(frames, "offers").data["offers"] == [str(task.id)]


def test_run__that_is_lost_is_told(house: House, bob: Desk, server: StreamServer) -> None:
    run = house.started()
    with watching(server, bob.client) as frames:
        tasks.release_run(
            actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
        )
        assert until(frames, "runs").data["runs"] == [str(run.task_id)]


def test_message__is_told_to_who_holds_the_task(
    house: House, bob: Desk, server: StreamServer
) -> None:
    run = house.started()
    with watching(server, bob.client) as frames:
        tasks.post_message(
            actor=house.alice.principal, task_id=run.task_id, text="Call again", at=clock.now()
        )
        assert next(frames).data == {"messages": [str(run.task_id)]}


def test_stream__tells_nothing_of_other_workers(
    house: House, bob: Desk, server: StreamServer
) -> None:
    Worker.objects.filter(id=bob.worker.id).update(presence="busy")
    other, key = worker_in(house.pool)
    with watching(server, bob.client) as frames:
        house.offered(title="For another")
        matching.accept_offer(
            actor=key.principal, offer_id=Offer.objects.get(worker=other).id, at=clock.now()
        )
        Worker.objects.filter(id=bob.worker.id).update(presence="available")
        own = house.offered(title="For Bob")
        assert own.worker_id == bob.worker.id
        assert until(frames, "offers").data["offers"] == [str(own.task_id)]


def test_presence__that_another_set_is_told(house: House, bob: Desk, server: StreamServer) -> None:
    with watching(server, bob.client) as frames:
        Worker.objects.filter(id=bob.worker.id).update(presence="away")
        assert "worker" in next(frames).data


def require_factor(bob: Desk) -> None:
    bob.member.organisation.requires_second_factor = True
    bob.member.organisation.save()


def close_networks(bob: Desk) -> None:
    bob.member.organisation.allowed_networks = ["198.51.100.0/24"]
    bob.member.organisation.save()


def reviewer(house: House, role: Role = Role.EDITOR) -> Any:
    """Return the browser of a member who is no worker."""
    member_of(house.organisation, "rita@northwind.example", role=role)
    client = browser()
    sign_in(client, "rita@northwind.example")
    return client


def test_review__is_told_to_reviewers_when_it_begins_and_ends(
    house: House, server: StreamServer
) -> None:
    set_policy(house.pool)
    with watching(server, reviewer(house)) as frames:
        review = in_review(house)
        assert next(frames).data == {"reviews": []}
        decide(key_of(house).principal, review)
        assert next(frames).data == {"reviews": []}


def test_review__is_not_told_to_workers(house: House, bob: Desk, server: StreamServer) -> None:
    set_policy(house.pool)
    review = in_review(house)
    with watching(server, bob.client) as frames:
        decide(key_of(house).principal, review)
        assert "reviews" not in next(frames).data


def test_reviewer__whose_role_changes_loses_the_stream(house: House, server: StreamServer) -> None:
    with watching(server, reviewer(house)) as frames:
        Member.objects.filter(role=Role.EDITOR).update(role=Role.WORKER)
        frame = next(frames)
    assert (frame.event, frame.data) == ("ended", {"reason": "not_a_worker"})


def test_reviewers__have_a_number_of_streams_each(house: House, server: StreamServer) -> None:
    client = reviewer(house)
    member_of(house.organisation, "jo@northwind.example", role=Role.EDITOR)
    other = browser()
    sign_in(other, "jo@northwind.example")
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(watching(server, client))
        assert refused(server, client) == (429, "too_many_streams")
        stack.enter_context(watching(server, other))


# --- who may read it ------------------------------------------------------------------------------


def test_stranger__is_refused(server: StreamServer, house: House) -> None:
    assert refused(server, browser()) == (401, "signed_out")


def test_member__who_is_no_worker_is_refused(server: StreamServer, house: House) -> None:
    member_of(house.organisation, "ann@northwind.example", role=Role.WORKER)
    client = browser()
    sign_in(client, "ann@northwind.example")
    assert refused(server, client) == (403, "not_a_worker")


def test_key__is_no_session(server: StreamServer, house: House) -> None:
    headers = {**PROXIED, "Authorization": f"Bearer {house.bob.key}"}
    answer = httpx.get(f"{server.url}/portal/stream", headers=headers)
    assert answer.status_code == 401


def test_organisation__refuses_addresses_and_missing_factors(
    server: StreamServer, house: House, bob: Desk
) -> None:
    house.organisation.allowed_networks = ["198.51.100.0/24"]
    house.organisation.save()
    assert refused(server, bob.client) == (403, "address_not_allowed")
    house.organisation.allowed_networks = []
    house.organisation.requires_second_factor = True
    house.organisation.save()
    assert refused(server, bob.client) == (403, "second_factor_required")


def test_page_of_another_origin__is_refused(server: StreamServer, bob: Desk) -> None:
    assert refused(server, bob.client, Origin="https://evil.example") == (403, "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda bob: BrowserSession.objects.all().delete(), "signed_out"),
        (lambda bob: bob.member.delete(), "not_a_worker"),
        (lambda bob: Worker.objects.filter(id=bob.worker.id).update(user=None), "not_a_worker"),
        (require_factor, "second_factor_required"),
        (close_networks, "address_not_allowed"),
    ],
    ids=["session", "membership", "link", "factor", "address"],
)
def test_stream__ends_with_the_access(
    server: StreamServer, house: House, bob: Desk, change: Callable[[Desk], Any], reason: str
) -> None:
    with watching(server, bob.client) as frames:
        change(bob)
        frame = next(frames)
    assert (frame.event, frame.data) == ("ended", {"reason": reason})


def test_session__that_is_written_goes_on(server: StreamServer, house: House, bob: Desk) -> None:
    with watching(server, bob.client) as frames:
        # A message to the person is stored in the session.
        bob.post("/portal/offers/01890a5d-ac96-774b-bcce-b302099a8057/decline/", code="")
        Worker.objects.filter(id=bob.worker.id).update(presence="away")
        frame = next(frames)
    assert (frame.event, frame.data) == ("changed", {"worker": []})


# --- what it costs --------------------------------------------------------------------------------


def test_changes__one_statement_however_many_portals(house: House, bob: Desk) -> None:
    worker_in(house.pool)
    offer = house.offered()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        (until_xid,) = cursor.fetchone()
    found = changes_for_workers(organisation_id=house.organisation.id, since=0, until=until_xid)
    assert found is not None
    assert {(one.worker_id, one.topic) for one in found} == {(offer.worker_id, "offers")}
    other = changes_for_workers(
        organisation_id=house.strangers_pool.organisation_id, since=0, until=until_xid
    )
    assert other == []


def test_changes__of_more_events_than_are_read_concern_every_worker(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.matching.live.MAX_READ", 2)
    house.offered()
    assert changes_for_workers(organisation_id=house.organisation.id, since=0, until=2**62) is None


def test_many_portals__share_few_connections(house: House, bob: Desk, server: StreamServer) -> None:
    process = psutil.Process(server.pid)
    eventually(lambda: _connections() <= 1, "idle", seconds=LINGER_SECONDS + 10)
    with ExitStack() as stack:
        streams = [stack.enter_context(watching(server, bob.client)) for _ in range(20)]
        assert refused(server, bob.client) == (429, "too_many_streams")
        threads = process.num_threads()
        eventually(lambda: _connections() <= 1, "the watcher's only")
        house.offered()
        for frames in streams:
            assert until(frames, "offers")
        assert process.num_threads() <= threads + 1
    eventually(lambda: _connections() == 0, "none without a portal", seconds=20)


def _connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def hidden(table: str) -> Iterator[None]:
    """Let each statement that reads a table fail."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO hidden_table")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE hidden_table RENAME TO {table}")


def test_changes__are_told_after_an_unexpected_error(
    house: House, bob: Desk, server: StreamServer
) -> None:
    """Changes that cannot be read, for another reason than an outage, are read again."""
    run = house.started()
    with watching(server, bob.client) as frames:
        with hidden("matching_offer"):
            tasks.post_message(
                actor=house.alice.principal, task_id=run.task_id, text="Call again", at=clock.now()
            )
            time.sleep(1.5)
        assert next(frames).data == {"messages": [str(run.task_id)]}


def test_checks__go_on_after_an_unexpected_error(
    house: House, bob: Desk, server: StreamServer
) -> None:
    """Sessions that cannot be read, for another reason than an outage, are read again."""
    with watching(server, bob.client) as frames:
        with hidden("accounts_browsersession"):
            time.sleep(ACCESS_CHECK_SECONDS + 1.5)
        BrowserSession.objects.all().delete()
        frame = next(frames)
    assert (frame.event, frame.data) == ("ended", {"reason": "signed_out"})
