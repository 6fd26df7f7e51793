"""`GET /v1/openapi.json`: the OpenAPI 3.1 document, made from the models and the table of calls."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from django.conf import settings
from pydantic import BaseModel, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http import idempotency
from apps.api.http.parameters import MAX_VALUES
from apps.api.http.problems import MEDIA_TYPE, TYPE
from apps.api.http.views import View
from apps.api.v1.examples import BODIES
from apps.api.v1.operations import CURSOR, JSON, OPERATIONS, Operation, Query
from biolayer.events import CATALOGUE, EXAMPLES, Kind
from biolayer.field_descriptions import UUID
from biolayer.responses.tasks import Problem
from biolayer.schemas import components, example_of

INFO = {
    "title": "BioLayer",
    "version": "1",
    "summary": "Post a task; a person does it; a signed webhook tells.",
    "description": "Times are RFC 3339 in UTC. Every answer has an `X-Request-ID`. Answers and events"
    " gain fields without notice: let through what you do not know.",
}
PLACE = re.compile(r"<str:(\w+)>")

REFUSALS = {
    400: "The body is no JSON.",
    401: "No credential, or one that does not hold.",
    403: "The credential does not allow it.",
    404: "It is not there, or not yours.",
    409: "It is not in a state for that, or the first request with this key still runs.",
    413: "Too large.",
    415: "Another media type is wanted.",
    422: "Faults in the request, or the key was used for another one.",
    429: "Too many requests.",
    500: "Something went wrong on our side; it was logged under the `request_id`.",
    503: "The database is away, or another transaction holds what the call needs: send it again.",
}
CODES = {
    400: "malformed_json", 401: "unauthenticated", 403: "scope_missing", 404: "not_found",
    409: "illegal_transition", 413: "too_large", 415: "unsupported_media_type", 422: "invalid_input",
    429: "rate_limited", 500: "internal_error", 503: "unavailable",
}  # fmt: skip
"""A code of each status, for its example; docs/api.md has all of them."""

TAGS = {
    "tasks": "What product backends post, read and call off.",
    "events": "The organisation's events, pulled.",
    "event-consumers": "Readers of the events, whose places are remembered.",
    "offers": "What workers are offered.",
    "runs": "What workers hold and hand in.",
    "workers": "Who does the tasks.",
    "pools": "Groups of workers, and their rules.",
    "skills": "What workers can do and tasks ask for.",
    "webhook-endpoints": "Where events are sent.",
    "deliveries": "What was sent, and how that went.",
    "recoveries": "Sending again what failed or was missed.",
    "webhook-keys": "What deliveries are signed with.",
    "organisations": "What anybody may know of an organisation.",
    "openapi.json": "This document.",
    "webhooks": "What arrives at callbacks and endpoints.",
}


class Document(View):
    takes_query = True

    # It says what the published documentation says and nothing of a tenant: no credential is asked.
    authentication_classes = []
    throttle_classes = []

    def get(self, request: Request) -> Response:
        return Response(openapi(), headers={"Cache-Control": "public, max-age=300"})


@lru_cache(maxsize=1)
def openapi() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": _paths(),
        "webhooks": {kind.name: {"post": _webhook(kind)} for kind in CATALOGUE.values()},
        "components": {
            "schemas": _components(),
            "parameters": PARAMETERS,
            "responses": {str(status): _refusal(status) for status in REFUSALS},
            "securitySchemes": _security_schemes(),
        },
    }


def _models() -> Iterator[type[BaseModel]]:
    yield Problem
    for operation in OPERATIONS:
        if operation.body is not None:
            yield operation.body
        yield from (model for model in operation.answers.values() if model is not None)
    for kind in CATALOGUE.values():
        yield from (kind.model, kind.thin_model)


def _security_schemes() -> dict[str, Any]:
    texts: Any = settings.OAUTH2_PROVIDER["SCOPES"]
    scopes = {scope.value: texts.get(scope.value, "Work on tasks") for scope in Scope}
    flow = {"tokenUrl": "/oauth/token", "scopes": scopes}
    return {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
        "oauth": {"type": "oauth2", "flows": {"clientCredentials": flow}},
    }


# --- calls ----------------------------------------------------------------------------------------


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        path = "/v1/" + PLACE.sub(r"{\1}", operation.route)
        paths.setdefault(path, {})[operation.method] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    good = {str(status): _answer(operation, status) for status in operation.answers}
    bad = {str(status): _ref("responses", str(status)) for status in sorted(_refused_by(operation))}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.route.partition("/")[0]],
        "summary": operation.summary,
        "description": _description(operation),
        "security": _security(operation.scope),
        "responses": {**good, **bad},
    }
    parameters = list(_parameters(operation))
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = _body(operation, operation.body)
    return described


def _description(operation: Operation) -> str:
    """Say what a call needs, and what may be done when its answer is lost."""
    parts = [f"{operation.summary}."]
    if operation.scope is not None:
        parts.append(f"The credential needs the scope `{operation.scope.value}`.")
    if operation.method == "post":
        parts.append(
            "Sent again with the same `Idempotency-Key`, it has one effect and one answer."
        )
    if any(query is CURSOR for query in operation.query):
        parts.append("`next_cursor` takes the list on as `?cursor=`; null is the end.")
    return " ".join(parts)


def _security(scope: Scope | None) -> list[dict[str, list[str]]]:
    return [] if scope is None else [{"key": []}, {"oauth": [scope.value]}]


def _refused_by(operation: Operation) -> Iterator[int]:
    """Every call can be refused in the ways that its form has room for, and in its own."""
    yield from operation.refused
    if operation.body is not None:
        yield from (400, 413, 415)
    yield from (500, 503)
    if operation.scope is not None:
        yield from (401, 403, 429)
    if PLACE.search(operation.route):
        yield 404
    if operation.method == "post":
        yield 409
    if operation.body is not None or operation.query or operation.method == "post":
        yield 422


def _answer(operation: Operation, status: int) -> dict[str, Any]:
    model = operation.answers[status]
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if model is not None:
        content = {"schema": _schema(model)}
        if status != HTTPStatus.NO_CONTENT:
            content["example"] = _example(model)
        answer["content"] = {operation.media_type: content}
    elif operation.media_type != JSON:
        frame = "id: eyJhIjoxfQ\nevent: task.completed\ndata: {…}\n\n"
        answer["content"] = {operation.media_type: {"schema": {"type": "string"}, "example": frame}}
    return answer


def _refusal(status: int) -> dict[str, Any]:
    code = CODES[status]
    example = {
        "type": TYPE + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": REFUSALS[status],
        "code": code,
        "request_id": "req_5c1f0b7a9d3e4f62",
    }
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        fault = {"pointer": "/title", "code": "required", "detail": "is required"}
        example["errors"] = [fault]
    refusal: dict[str, Any] = {
        "description": REFUSALS[status],
        "content": {MEDIA_TYPE: {"schema": _schema(Problem), "example": example}},
    }
    if status in (429, 503):
        header = {"description": "Seconds to wait.", "schema": {"type": "integer"}, "example": 1}
        refusal["headers"] = {"Retry-After": header}
    return refusal


@lru_cache(maxsize=1)
def _components() -> dict[str, Any]:
    return components(_models())


def _example(model: type[BaseModel]) -> Any:
    """An example of what a call answers."""
    return example_of(_schema(model), _components())


PLACES = {
    "task_id": ("The task.", UUID),
    "offer_id": ("The offer.", UUID),
    "run_id": ("The run.", UUID),
    "worker_id": ("The worker.", UUID),
    "pool_id": ("The pool.", UUID),
    "endpoint_id": ("The endpoint.", UUID),
    "delivery_id": ("The delivery.", UUID),
    "recovery_id": ("The recovery.", UUID),
    "key_id": ("The key.", UUID),
    "organisation_id": ("The organisation.", UUID),
    "name": ("The consumer's name: 1 to 64 of a-z, 0-9, _ . -", "ledger"),
}


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in PLACE.findall(operation.route):
        place = {"type": "string", **({"format": "uuid"} if name.endswith("_id") else {})}
        description, example = PLACES[name]
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": description,
            "schema": place,
            "example": example,
        }
    for query in operation.query:
        yield _query(query)
    if operation.method == "post":
        yield _ref("parameters", idempotency.HEADER)


def _query(query: Query) -> dict[str, Any]:
    schema, description = dict(query.schema), query.description
    if query.is_repeatable:
        schema = {"type": "array", "items": schema, "maxItems": MAX_VALUES}
        description += " Several values, each with its name: any of them."
    example = [query.example] if query.is_repeatable else query.example
    return {
        "name": query.name,
        "in": "query",
        "description": description,
        "schema": schema,
        "example": example,
    }


def _body(operation: Operation, model: type[BaseModel]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _schema(model)}
    if model in BODIES:
        content["example"] = BODIES[model]
    return {
        "description": next(iter((model.__doc__ or "").strip().splitlines()), "What is sent."),
        "required": not _takes_nothing(model),
        "content": {operation.body_type: content},
    }


def _takes_nothing(model: type[BaseModel]) -> bool:
    """Whether an empty body will do."""
    try:
        model.model_validate({})
    except ValidationError:
        return False
    return True


# --- webhooks -------------------------------------------------------------------------------------


def _webhook(kind: Kind) -> dict[str, Any]:
    schema = {"anyOf": [_schema(kind.model), _schema(kind.thin_model)]}
    content = {"schema": schema, "example": EXAMPLES[kind.name]}
    return {
        "operationId": kind.name.replace(".", "_"),
        "tags": ["webhooks"],
        "summary": kind.name,
        "description": kind.description,
        "security": [],
        "parameters": [_ref("parameters", name) for name in SIGNATURE],
        "requestBody": {"required": True, "content": {JSON: content}},
        "responses": {
            "2XX": {"description": "Taken. Everything else but 410 is tried again."},
            "410": {"description": "Nobody is here any more: send nothing else."},
        },
    }


SIGNATURE = {
    "webhook-id": (
        "The same at every attempt: deduplicate by it.",
        "msg_019abf3c7d2e7a109c552f6a1b0c8d41",
    ),
    "webhook-timestamp": ("This attempt's time, in seconds since 1970.", "1770232860"),
    "webhook-signature": (
        "Signatures by Standard Webhooks (`v1,…` and `v1a,…`), parted by a space.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
}
"""The headers of every webhook: what each says, and an example."""


def _header(name: str, description: str, example: str, *, required: bool) -> Mapping[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


def _shared_parameters() -> Iterable[tuple[str, Mapping[str, Any]]]:
    same = "1 to 255 characters: the same request sent again has one effect and gives one answer."
    yield idempotency.HEADER, _header(idempotency.HEADER, same, UUID, required=False)
    for name, (description, example) in SIGNATURE.items():
        yield name, _header(name, description, example, required=True)


PARAMETERS = dict(_shared_parameters())


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return _ref("schemas", model.__name__)
