"""Serve `/v1/events` and `/v1/event-consumers`: the organisation's events, by pull.

The ASGI process also serves the two calls that may wait (see config/stream_urls.py).
"""

import re
from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View
from apps.api.streams import pages
from apps.api.streams.access import check
from apps.api.streams.cursors import decode_cursor
from apps.api.streams.long_poll import wait_on_thread
from apps.api.streams.pages import Page
from apps.api.streams.params import (
    AFTER,
    PAYLOAD,
    TYPES,
    WAITING,
    FeedQuery,
    consumer_query,
    feed_query,
    parse_position,
    position_fault,
)
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import events as representations
from apps.base.transactions import retry_races
from apps.events import selectors, services
from apps.events.selectors import Lag, Position
from apps.tasks.selectors import ids_in_pools
from biolayer.contract import parse
from biolayer.errors import Fault, InvalidInput
from biolayer.requests.consumers import Acknowledgement, ConsumerSettings
from biolayer.responses.events import EventConsumer, EventConsumerPage, FeedPage

BY_NAME = Keyset(("name",))
NAME = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)


class PageResponse(Response):
    """Return a page. It has its query, so that the ASGI process can wait and replace the page."""

    def __init__(self, query: FeedQuery, page: Page) -> None:
        super().__init__(pages.represented(query, page))
        self.query = query
        self.page = page


class FeedView(View):
    """Return a page of the feed. A page that would be empty waits as long as its query allows."""

    # Whether to wait on this thread. The ASGI process waits without one.
    waits = True

    def feed_page(self, request: Request, query: FeedQuery) -> Response:
        page = first_page = pages.read(query)
        if self.waits and request.method != "HEAD":
            page = wait_on_thread(query, first_page)
            if page.items and page is not first_page:
                check(request._request, query.actor)
        return PageResponse(query, page)


class Events(FeedView):
    @operation(
        "read_events",
        scope=Scope.TASKS_READ,
        summary="Read the organisation's events, in order and without gaps",
        returns={200: FeedPage},
        query=(AFTER, TYPES, *WAITING, PAYLOAD),
    )
    def get(self, request: Request) -> Response:
        query = feed_query(self.actor(request), request.query_params)
        return self.feed_page(request, query)


class ConsumerEvents(FeedView):
    @operation(
        "read_consumer_events",
        scope=Scope.TASKS_READ,
        summary="Read the events after a consumer's position, which is not moved",
        returns={200: FeedPage},
        query=(*WAITING, PAYLOAD),
    )
    def get(self, request: Request, name: str) -> Response:
        actor = self.actor(request)
        generation = selectors.current_generation()
        consumer = selectors.consumer(actor=actor, name=name)
        query = consumer_query(
            actor,
            request.query_params,
            after=selectors.position_of(consumer),
            generation=generation,
            types=consumer.types,
        )
        return self.feed_page(request, query)


class Consumers(View):
    @operation(
        "list_consumers",
        scope=Scope.TASKS_READ,
        summary="List event consumers by name",
        returns={200: EventConsumerPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        visible = selectors.consumers(actor=self.actor(request))
        consumers = page(request, visible, BY_NAME)
        data = _represented(consumers.rows)
        return Response(EventConsumerPage(data=data, next_cursor=consumers.next_cursor))


class Consumer(View):
    @operation(
        "get_consumer",
        scope=Scope.TASKS_READ,
        summary="Get an event consumer: its position and its lag",
        returns={200: EventConsumer},
    )
    def get(self, request: Request, name: str) -> Response:
        consumer = selectors.consumer(actor=self.actor(request), name=name)
        return Response(_represented([consumer])[0])

    @operation(
        "save_consumer",
        scope=Scope.TASKS_READ,
        summary="Create an event consumer, or change what it reads",
        returns={201: EventConsumer, 200: EventConsumer},
        body=ConsumerSettings,
    )
    def put(self, request: Request, name: str) -> Response:
        actor, settings = self.actor(request), parse(ConsumerSettings, request.data)
        start = _start(actor, name, settings)
        saved = retry_races(
            lambda: services.save_consumer(
                actor=actor, name=name, types=settings.types, start=start, at=self.at(request)
            )
        )
        location = {"Location": f"/v1/event-consumers/{name}"} if saved.is_new else {}
        status = 201 if saved.is_new else 200
        return Response(_represented([saved.consumer])[0], status=status, headers=location)

    @operation(
        "delete_consumer",
        scope=Scope.TASKS_READ,
        summary="Delete an event consumer and its position",
        returns={204: None},
    )
    def delete(self, request: Request, name: str) -> Response:
        services.delete_consumer(actor=self.actor(request), name=name)
        return Response(status=204)


class ConsumerAck(View):
    @operation(
        "acknowledge_events",
        scope=Scope.TASKS_READ,
        summary="Move a consumer's position forward",
        returns={200: EventConsumer},
        body=Acknowledgement,
    )
    def post(self, request: Request, name: str) -> Response:
        actor, acknowledgement = self.actor(request), parse(Acknowledgement, request.data)

        def acknowledge() -> CallResult:
            position, generation = _acknowledged(actor, name, acknowledgement.cursor)
            consumer = services.acknowledge(
                actor=actor, name=name, upto=position, of_generation=generation, at=self.at(request)
            )
            return CallResult(_represented([consumer])[0])

        return idempotent(request, request.data, acknowledge)


def _acknowledged(actor: Principal, name: str, cursor: str) -> tuple[Position, int]:
    """Return the position and the generation of a cursor.

    Raise `InvalidInput` for another text; `NotFound` instead if there is no such consumer.
    """
    decoded = decode_cursor(cursor, actor.organisation_id)
    if decoded is None:
        selectors.consumer(actor=actor, name=name)
        text = "is not a cursor of this organisation's events"
        raise InvalidInput([Fault("/cursor", "invalid_cursor", text)])
    return decoded


def _start(actor: Principal, name: str, settings: ConsumerSettings) -> Position:
    """Return where a new consumer begins.

    Raise `InvalidInput` with every fault of its name and settings.
    """
    faults = []
    if not NAME.fullmatch(name):
        faults.append(Fault("/name", "pattern", "must be 1 to 64 of a-z, 0-9, _ . -"))
    for index, pattern in enumerate(settings.types or ()):
        problem = selectors.type_problem(pattern)
        if problem is not None:
            faults.append(Fault(f"/types/{index}", "unknown_event_type", problem))
    # The position is stored permanently, so it must not depend on a stale cache of generations.
    selectors.clear_generation_cache()
    start = parse_position(actor, settings.start)
    if start is None:
        faults.append(position_fault("/start"))
    if start is None or faults:
        raise InvalidInput(faults)
    return start


def _lag_of_pools(consumer: Any) -> Lag:
    """Return the lag of a consumer that is limited to pools: events of other tasks do not count."""
    events = selectors.pending_events(consumer)
    types = selectors.types_for(consumer.types)
    task_ids = [task_id for task_id, event_type in events if event_type in types]
    visible_ids = ids_in_pools(
        organisation_id=consumer.organisation_id, pool_ids=consumer.pool_ids, task_ids=task_ids
    )
    count = sum(task_id in visible_ids for task_id in task_ids)
    return Lag(count, is_exact=len(events) < selectors.MAX_COUNTED)


def _represented(consumers: Sequence[Any]) -> list[EventConsumer]:
    """Return consumers as `/v1` shows them. One query counts the lags of those without pools."""
    lags = selectors.consumer_lags([row for row in consumers if row.pool_ids is None])
    lags |= {row.id: _lag_of_pools(row) for row in consumers if row.pool_ids is not None}
    return [representations.consumer(row, lags[row.id]) for row in consumers]
