"""`GET /v1/openapi.json`: the OpenAPI 3.1 document, made from the models and the table of calls."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http import idempotency
from apps.api.http.parameters import MAX_VALUES
from apps.api.http.problems import MEDIA_TYPE
from apps.api.http.views import View
from apps.api.v1.operations import JSON, OPERATIONS, Operation, Query
from biolayer.answers import Problem
from biolayer.events import CATALOGUE, EXAMPLES, Kind
from biolayer.schemas import components

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
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "webhooks": {kind.name: {"post": _webhook(kind)} for kind in CATALOGUE.values()},
        "components": {
            "schemas": components(_models()),
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
    scopes = {scope.value: "" for scope in Scope}
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
        "security": _security(operation.scope),
        "responses": {**good, **bad},
    }
    parameters = list(_parameters(operation))
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = _body(operation, operation.body)
    return described


def _security(scope: Scope | None) -> list[dict[str, list[str]]]:
    return [] if scope is None else [{"key": [scope.value]}, {"oauth": [scope.value]}]


def _refused_by(operation: Operation) -> Iterator[int]:
    """Every call can be refused in the ways that its form has room for, and in its own."""
    yield from operation.refused
    if operation.body is not None:
        yield from (400, 413, 415)
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
        answer["content"] = {operation.media_type: {"schema": _schema(model)}}
    elif operation.media_type != JSON:
        answer["content"] = {operation.media_type: {"schema": {"type": "string"}}}
    return answer


def _refusal(status: int) -> dict[str, Any]:
    refusal: dict[str, Any] = {
        "description": REFUSALS[status],
        "content": {MEDIA_TYPE: {"schema": _schema(Problem)}},
    }
    if status == 429:
        header = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        refusal["headers"] = {"Retry-After": header}
    return refusal


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in PLACE.findall(operation.route):
        place = {"type": "string", **({"format": "uuid"} if name.endswith("_id") else {})}
        yield {"name": name, "in": "path", "required": True, "schema": place}
    for query in operation.query:
        yield _query(query)
    if operation.method == "post":
        yield _ref("parameters", idempotency.HEADER)


def _query(query: Query) -> dict[str, Any]:
    schema, description = dict(query.schema), query.description
    if query.is_repeatable:
        schema = {"type": "array", "items": schema, "maxItems": MAX_VALUES}
        description += " Several values, each with its name: any of them."
    words = {"description": description} if description else {}
    return {"name": query.name, "in": "query", **words, "schema": schema}


def _body(operation: Operation, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "required": not _takes_nothing(model),
        "content": {operation.body_type: {"schema": _schema(model)}},
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
    "webhook-id": "The same at every attempt: deduplicate by it.",
    "webhook-timestamp": "This attempt's time, in seconds since 1970.",
    "webhook-signature": "Signatures by Standard Webhooks (`v1,…` and `v1a,…`), parted by a space.",
}
"""The headers of every webhook."""


def _header(name: str, description: str, *, required: bool) -> Mapping[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"},
    }


def _shared_parameters() -> Iterable[tuple[str, Mapping[str, Any]]]:
    same = "1 to 255 characters: the same request sent again has one effect and gives one answer."
    yield idempotency.HEADER, _header(idempotency.HEADER, same, required=False)
    for name, description in SIGNATURE.items():
        yield name, _header(name, description, required=True)


PARAMETERS = dict(_shared_parameters())


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return _ref("schemas", model.__name__)
