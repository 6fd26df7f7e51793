"""Describe the fields of events, of lists and the event feed, and of problems."""

from biolayer.field_descriptions.entries import Table, for_models
from biolayer.field_descriptions.examples import FROM_PARTS, HASH, TIME, WEBHOOK_BODY, WORKER

TABLE: Table = {
    # --- events
    "sequence": ("1, 2, 3 … within the task, without gaps.", 3),
    "type": ("The type of the event.", "task.completed"),
    "event_type": ("The type of the event.", "task.completed"),
    "timestamp": ("When the event happened.", TIME),
    "actor": ("The actor that caused the event.", FROM_PARTS),
    "Actor.kind": ("The kind of actor: `key`, `token`, `worker`, `system` …", "key"),
    "data": ("Details of the event.", FROM_PARTS),
    **for_models("Event FeedItem", "data", "Details of the event, by type.", {"worker_id": WORKER}),
    "prev_hash": ("The hash of the previous event; 64 zeros for the first.", "0" * 64),
    "hash": ("SHA-256 of the previous hash and this event (docs/api.md).", HASH),
    # --- lists and feeds
    "next_cursor": ("The cursor of the next page; null on the last page.", "eyJhIjoxfQ"),
    "has_more": ("Whether more events are available now.", False),
    "cursor": ("A position in the feed.", "eyJhIjoxfQ"),
    "start": ("Where a new consumer starts: `beginning`, `latest`, or a cursor.", "latest"),
    "types": ("Event types or patterns; null: all types except silent ones.", ["task.*"]),
    "EventConsumer.name": ("The consumer's name.", "ledger"),
    "moved_at": ("When the consumer's position last moved.", TIME),
    "lag": ("The number of matching events after the consumer's position.", 3),
    "lag_is_exact": ("False: the lag is at least that number.", True),
    "webhook": ("The webhook body of the event.", WEBHOOK_BODY),
    # --- problems
    "Problem.type": ("A URN of the code.", "urn:biolayer:problem:invalid_input"),
    "Problem.title": (
        "A short summary of the kind of problem.",
        "The request does not satisfy its contract",
    ),
    "Problem.status": ("The HTTP status.", 422),
    "Problem.code": ("A stable code for programs.", "invalid_input"),
    "ProblemFault.code": ("A stable code for programs.", "required"),
    "detail": ("An explanation for people.", "is required"),
    "pointer": ("A JSON Pointer (RFC 6901) into the request.", "/title"),
    "errors": ("With `invalid_input`: every fault of the request.", FROM_PARTS),
    "openapi": ("The version of OpenAPI.", "3.1.0"),
}
