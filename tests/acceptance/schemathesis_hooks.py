"""Adapt Schemathesis to the API: loaded by tests/acceptance/test_schemathesis.py.

A request that satisfies its schema may still be refused for what the schema does not express (a
pool that does not exist, a time in the past, a cursor that the service did not issue). Such a
refusal is a 422 whose faults all have a code in `MEANINGS` or `MEANINGS_AT`, a 412, or a 415 for
the content of a file. Any other is a failure.
"""

import json
import os
import re
import threading
from contextlib import suppress
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis.core.failures import Failure

MEANINGS = {
    # What exists, and what it is now.
    "dependency_closed": "a task that ended already",
    "organisation_mismatch": "the id of another organisation",
    "role_too_low": "a scope that the given role does not have",
    "unknown_attachment": "an id",
    "unknown_evidence": "an id",
    "unknown_pool": "an id",
    "unknown_task": "an id",
    "unknown_worker": "an id",
    "invalid_cursor": "a text that the service issued",
    "request_id_reused": "the tasks before",
    "idempotency_key_reused": "the request before",
    "version_changed": "the version that was read",
    "laxer_than_pool": "the policy of the pool",
    "locks_out_caller": "the address of the caller",
    "schema_mismatch": "the schema that the task's contract gives",
    "not_in_output": "the output that is reviewed",
    # The time.
    "in_the_future": "the time of the call",
    "in_the_past": "the time of the call",
    # Values that depend on each other.
    "before_since": "until depends on since",
    "duplicate": "members of a list are compared by a part of them",
    "ends_before_it_begins": "the two times of a span are compared",
    "no_effect": "a step of defaults only changes nothing",
    "not_for_pools": "the model is shared with the policies of tasks",
    "not_for_test_keys": "depends on the mode",
    "not_growing": "each step is compared with the one before",
    "overlap": "the spans of a day are compared",
    "redirect_uri": "depends on the grant types",
    "unknown_skill": "depends on the list of skills",
    # Values of a grammar that is too long for a pattern, or of a list that changes.
    "address_not_allowed": "which addresses are not public",
    "blank": "white space, of which regular expressions know less",
    "credentials_in_url": "the grammar of URLs",
    "fragment_in_url": "the grammar of URLs",
    "invalid_network": "the grammar of addresses",
    "invalid_schema": "the grammar of JSON Schema",
    "invalid_url": "the grammar of URLs",
    "not_an_email": "the grammar of addresses",
    "nul_character": "the one character that PostgreSQL cannot store",
    "reserved_header": "a list of names, compared without case",
    "scheme_not_allowed": "depends on the kind of client",
    "unknown_time_zone": "the names that the machine's database has",
    "unknown_type": "the names of types in the short form of a schema",
    # Costs.
    "empty_schema": "a schema that any output satisfies",
    "too_complex": "the time that a check takes",
    "too_deep": "the nesting of a document",
}
"""Codes of what no schema says, and what such a fault depends on."""

MEANINGS_AT = {
    ("forbidden", r"/(scope|workspace_id)"): "depends on the scope, and on the caller's pools",
    ("not_allowed", r"/(rating|reopen)"): "depends on the decision on an appeal",
    ("not_one_of", r"/grant_types"): "depends on the type of client",
    ("out_of_range", r"(/\d+)?/(context|output)(/.*)?"): "a number of over 64 bits in free JSON",
    ("out_of_range", r"/capabilities"): "the bytes of a name",
    ("out_of_range", r"/since"): "the two times of a span are compared",
    # Not explained: seen once, in a name that should have matched the pattern of the schema.
    ("pattern", r".*auth/username"): "a colon (RFC 7617)",
    ("pattern", r".*/languages/\d+"): "the grammar of language tags (RFC 5646)",
    ("not_used", r"/redirect_uris"): "depends on the grant types",
    ("required", r"/workspace_id"): "depends on the scope",
    ("required", r"/redirect_uris"): "depends on the grant types",
    ("required", r".*/reason"): "depends on the verdict",
    ("required", r"/review(_policy)?"): "depends on the mode, and on the pool of reviewers",
    ("required", r"/presence"): "depends on `snooze_seconds`",
    ("required", r"/worker_id"): "depends on the scopes",
    ("too_large", r"(/\d+)?/(context|output/schema)"): "the bytes of a document",
    ("wrong_type", r".*(_at|/since|/until|/deadline)"): "RFC 3339 has times before the year 1",
}
"""The same, of codes that mean this only at some JSON Pointers."""

CONTRACT = {
    "task_type": "verification",
    "domain": "security",
    "title": "Verify it",
    "instructions": "Call them.",
    "output": {"schema": {"notes": "string"}},
}
NDJSON = "application/x-ndjson"
REFUSED = (412, 415, 422)
# A closed pool, a revoked key and a session that has ended can still be read.
KEPT = ("/v1/pools/", "/v1/api-keys/", "/v1/agent-sessions/")
LONGEST_WAIT, MAX_WAIT = 1, 55
POSITIONS = ("beginning", "latest")
# `bl_live_`, twelve characters of the id, `_`, the secret.
OWN_KEY = os.environ.get("SCHEMATHESIS_KEY", "").split("_")[2:3]
OWN_WORKER = os.environ.get("SCHEMATHESIS_WORKER")
UNKNOWN = "019abf3c-0000-7000-8000-000000000000"

_cursors: set[str] = set()
_lock = threading.Lock()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Keep the run going: no long wait, no invented cursor, no end of its own credential."""
    query, path = case.query or {}, case.path_parameters or {}
    with suppress(TypeError, ValueError):
        # One that is too long stays so: it has to be refused.
        if LONGEST_WAIT < int(query.get("wait", 0)) <= MAX_WAIT:
            query["wait"] = LONGEST_WAIT
    # Excluded: to revoke or rotate the run's own key, and to delete its worker, with its keys.
    if path.get("api_key") in OWN_KEY:
        path["api_key"] = UNKNOWN
    if path.get("worker_id") == OWN_WORKER and case.method == "DELETE":
        path["worker_id"] = UNKNOWN
    if case.meta is None or case.meta.generation.mode.is_positive:
        _use_cursors(query, case.body)
        if case.headers and "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid4())


def _use_cursors(query: dict[str, Any], body: Any) -> None:
    """Leave out the cursors that the service did not issue."""
    for name in ("cursor", "after"):
        if isinstance(query.get(name), str) and query[name] not in (*_cursors, *POSITIONS):
            del query[name]
    if isinstance(body, dict) and body.get("start", "latest") not in (*_cursors, *POSITIONS):
        del body["start"]


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember the cursors that the service issued."""
    try:
        body = response.json()
    except ValueError:
        return
    if isinstance(body, dict) and isinstance(body.get("next_cursor"), str):
        with _lock:
            _cursors.add(body["next_cursor"])


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Accept the refusal of a valid request for a reason in `MEANINGS`."""
    kind = type(failure).__name__
    if kind == "AcceptedNegativeData" and case.media_type == NDJSON and response.status_code == 200:
        # What is sent is always a text, as its schema says. Its lines are refused one by one.
        return bool(response.json()["refused"] == 0)
    if kind == "UseAfterFree":
        return not case.path.startswith(KEPT)
    if kind == "MissingHeaderNotRejected":
        return bool(response.status_code != 428)
    if kind != "RejectedPositiveData" or response.status_code not in REFUSED:
        return True
    if response.status_code == 415:  # The type of a file is found in its content.
        return bool(case.media_type != "multipart/form-data")
    problem = response.json()
    faults = problem.get("errors") or [{"code": problem["code"], "pointer": ""}]
    return not all(_is_meaning(fault["code"], fault["pointer"]) for fault in faults)


def _is_meaning(code: str, pointer: str) -> bool:
    return code in MEANINGS or any(
        code == known and re.fullmatch(place, pointer) for known, place in MEANINGS_AT
    )


@schemathesis.serializer(NDJSON)
def ndjson(context: Any, value: Any) -> bytes:
    """Write a JSON document per line; for a text, whose lines have no schema, an example."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        value = CONTRACT
    items = value if isinstance(value, list) else [value]
    return b"\n".join(json.dumps(item).encode() for item in items)
