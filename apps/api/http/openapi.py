"""Build an API's OpenAPI 3.1 document from its operations and models."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from pydantic import BaseModel, ValidationError

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import HEADER as IDEMPOTENCY_KEY
from apps.api.http.operations import CURSOR, JSON, OCTETS, Operation, Query
from apps.api.http.parameters import MAX_VALUES
from apps.api.http.problems import MEDIA_TYPE, TYPE
from apps.api.http.versions import IF_MATCH, IF_MATCH_PATTERN
from biolayer.responses.problems import Problem
from biolayer.schemas import components, example_of

PATH_PARAMETER = re.compile(r"<str:(\w+)>")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Describe a request that the service sends: its models (any of them), and an example."""

    name: str
    description: str
    models: Sequence[type[BaseModel]]
    example: Any


@dataclass(frozen=True, slots=True)
class Problems:
    """Describe the errors of an API: model, media type, and each status with an example."""

    model: type[BaseModel]
    media_type: str
    meanings: Mapping[int, str]
    examples: Mapping[int, Any]


def problems_of(refusals: Mapping[int, tuple[str, str]]) -> Problems:
    """Return the errors of an API of problem documents, by status: meaning, and an example's code.

    docs/api.md lists all codes.
    """
    meanings = {status: meaning for status, (meaning, _) in refusals.items()}
    examples = {
        status: _problem_example(status, meaning, code)
        for status, (meaning, code) in refusals.items()
    }
    return Problems(Problem, MEDIA_TYPE, meanings, examples)


def _problem_example(status: int, meaning: str, code: str) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": TYPE + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": meaning,
        "code": code,
        "request_id": "req_5c1f0b7a9d3e4f62",
    }
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        example["errors"] = [{"pointer": "/title", "code": "required", "detail": "is required"}]
    return example


@dataclass(frozen=True)
class Api:
    """Describe an API. Its tags are the first parts of its routes."""

    prefix: str
    info: Mapping[str, Any]
    tags: Mapping[str, str]
    operations: Sequence[Operation]
    problems: Problems
    # Of the parameters in paths: a description and an example.
    path_parameters: Mapping[str, tuple[str, Any]]
    # Of those that are no ids: what they match.
    path_patterns: Mapping[str, str] = field(default_factory=dict)
    body_examples: Mapping[type[BaseModel], Any] = field(default_factory=dict)
    webhooks: Sequence[Webhook] = ()
    # The headers of each webhook: a description and an example.
    webhook_headers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # Empty: the API has no idempotency keys.
    idempotency_example: str = ""
    # Of headers: a description, an example, and whether it is required. Each call with a credential
    # takes the `common_headers`, and those that its operation names.
    header_descriptions: Mapping[str, tuple[str, str, bool]] = field(default_factory=dict)
    common_headers: Sequence[str] = ()
    # Which error statuses an operation has; None: those that its form implies.
    errors_of: Callable[[Operation], Iterable[int]] | None = None
    # What the document calls a parameter of a route; None: as the route does.
    path_name: Callable[[Operation, str], str] | None = None

    @cached_property
    def document(self) -> dict[str, Any]:
        """Return the whole document."""
        paths: dict[str, Any] = {}
        for operation in self.operations:
            path = self.prefix + self._path(operation)
            paths.setdefault(path, {})[operation.method] = self._operation(operation)
        responses = {str(status): self._problem(status) for status in self.problems.meanings}
        return {
            "openapi": "3.1.0",
            "info": self.info,
            "servers": [{"url": "/", "description": "The server that returned this document."}],
            "tags": [{"name": name, "description": text} for name, text in self.tags.items()],
            "paths": paths,
            "webhooks": {
                webhook.name: {"post": self._webhook(webhook)} for webhook in self.webhooks
            },
            "components": {
                "schemas": self._schemas,
                "parameters": dict(self._shared_parameters()),
                "responses": responses,
                "securitySchemes": self._security_schemes(),
            },
        }

    @cached_property
    def _schemas(self) -> dict[str, Any]:
        return components(self._models())

    def _models(self) -> Iterator[type[BaseModel]]:
        yield self.problems.model
        for operation in self.operations:
            if operation.body is not None:
                yield operation.body
            yield from (model for model in operation.returns.values() if model is not None)
            if operation.last_line is not None:
                yield operation.last_line
        for webhook in self.webhooks:
            yield from webhook.models

    def _security_schemes(self) -> dict[str, Any]:
        texts: Any = settings.OAUTH2_PROVIDER["SCOPES"]
        scopes = {scope.value: str(texts.get(scope.value, "Work on tasks")) for scope in Scope}
        flow = {"tokenUrl": "/oauth/token", "scopes": scopes}
        for_people = {**flow, "authorizationUrl": "/oauth/authorize", "refreshUrl": "/oauth/token"}
        return {
            "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
            "oauth": {
                "type": "oauth2",
                "flows": {"clientCredentials": flow, "authorizationCode": for_people},
            },
        }

    # --- calls

    def _operation(self, operation: Operation) -> dict[str, Any]:
        successes = {
            str(status): self._success(operation, status, model)
            for status, model in operation.returns.items()
        }
        errors = {
            str(status): _ref("responses", str(status))
            for status in sorted(set((self.errors_of or _errors)(operation)))
        }
        described: dict[str, Any] = {
            "operationId": operation.name,
            "tags": [operation.route.partition("/")[0]],
            "summary": operation.summary,
            "description": _description(operation, has_keys=bool(self.idempotency_example)),
            "security": _security(operation.scope),
            "responses": {**successes, **errors},
        }
        parameters = list(self._parameters(operation))
        if parameters:
            described["parameters"] = parameters
        if operation.body is not None:
            described["requestBody"] = self._body(operation, operation.body)
        return described

    def _success(
        self, operation: Operation, status: int, model: type[BaseModel] | None
    ) -> dict[str, Any]:
        success: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if model is not None:
            example = example_of(_schema(model), self._schemas)
            schema: dict[str, Any] = _schema(model)
            if operation.last_line is not None:
                schema = {"anyOf": [schema, _schema(operation.last_line)]}
            success["content"] = {operation.media_type: {"schema": schema, "example": example}}
            if operation.csv_example:
                text = {"schema": {"type": "string"}, "example": operation.csv_example}
                success["content"]["text/csv"] = text
        elif operation.media_type == OCTETS:
            # It is always an attachment (RFC 6266).
            content = {"schema": {"type": "string", "format": "binary"}, "example": "(bytes)"}
            files = {key: {"example": "(bytes)"} for key in operation.file_types}
            success["content"] = {OCTETS: content, **files}
        elif operation.media_type != JSON:
            frame = "id: eyJhIjoxfQ\nevent: task.completed\ndata: {…}\n\n"
            content = {"schema": {"type": "string"}, "example": frame}
            success["content"] = {operation.media_type: content}
        return success

    def _problem(self, status: int) -> dict[str, Any]:
        content = {
            "schema": _schema(self.problems.model),
            "example": self.problems.examples[status],
        }
        problem: dict[str, Any] = {
            "description": self.problems.meanings[status],
            "content": {self.problems.media_type: content},
        }
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            header = {
                "description": "Seconds to wait.",
                "schema": {"type": "integer"},
                "example": 1,
            }
            problem["headers"] = {"Retry-After": header}
        return problem

    def _path(self, operation: Operation) -> str:
        def shown(match: re.Match[str]) -> str:
            return f"{{{self._path_name(operation, match[1])}}}"

        return PATH_PARAMETER.sub(shown, operation.route)

    def _path_name(self, operation: Operation, name: str) -> str:
        return name if self.path_name is None else self.path_name(operation, name)

    def _parameters(self, operation: Operation) -> Iterator[dict[str, Any]]:
        for name in PATH_PARAMETER.findall(operation.route):
            description, example = self.path_parameters[name]
            yield {
                "name": self._path_name(operation, name),
                "in": "path",
                "required": True,
                "description": description,
                "schema": self._path_schema(name, example),
                "example": example,
            }
        yield from map(_query, operation.query)
        common = () if operation.scope is None else self.common_headers
        for name in (*common, *operation.headers):
            yield _ref("parameters", name)
        if operation.method == "post" and self.idempotency_example:
            yield _ref("parameters", IDEMPOTENCY_KEY)
        if operation.needs_version:
            yield _ref("parameters", IF_MATCH)

    def _path_schema(self, name: str, example: str) -> dict[str, str]:
        if name in self.path_patterns:
            return {"type": "string", "pattern": self.path_patterns[name]}
        return {"type": "string", **({"format": "uuid"} if _is_uuid(example) else {})}

    def _body(self, operation: Operation, model: type[BaseModel]) -> dict[str, Any]:
        content: dict[str, Any] = {"schema": _schema(model)}
        if model in self.body_examples:
            content["example"] = self.body_examples[model]
        types = {operation.body_type: content, **operation.other_bodies}
        return {
            "description": next(iter((model.__doc__ or "").strip().splitlines()), "The body."),
            "required": not _accepts_nothing(model),
            "content": types,
        }

    # --- webhooks

    def _webhook(self, webhook: Webhook) -> dict[str, Any]:
        schema = {"anyOf": [_schema(model) for model in webhook.models]}
        return {
            "operationId": webhook.name.replace(".", "_"),
            "tags": ["webhooks"],
            "summary": webhook.name,
            "description": webhook.description,
            "security": [],
            "parameters": [_ref("parameters", name) for name in self.webhook_headers],
            "requestBody": {
                "required": True,
                "content": {JSON: {"schema": schema, "example": webhook.example}},
            },
            "responses": {
                "2XX": {"description": "Accepted. Every other status but 410 is retried."},
                "410": {"description": "Gone: the endpoint is disabled."},
            },
        }

    def _shared_parameters(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        for name, (description, example, is_required) in self.header_descriptions.items():
            yield name, _header(name, description, example, required=is_required)
        if not self.idempotency_example:
            return
        text = "1 to 255 characters. Requests with the same key have one effect and one response."
        example = self.idempotency_example
        yield IDEMPOTENCY_KEY, _header(IDEMPOTENCY_KEY, text, example, required=False)
        text = "The `ETag` of the object as you have read it; `*` matches any."
        yield IF_MATCH, _header(IF_MATCH, text, '"7"', required=True, pattern=IF_MATCH_PATTERN)
        for name, (description, example) in self.webhook_headers.items():
            yield name, _header(name, description, example, required=True)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _description(operation: Operation, *, has_keys: bool) -> str:
    """Return what a call needs, and whether it can be repeated when its response is lost."""
    parts = [f"{operation.summary}."]
    if operation.scope is not None:
        parts.append(f"The credential needs the scope `{operation.scope.value}`.")
    if operation.method == "post" and has_keys:
        parts.append("Requests with the same `Idempotency-Key` have one effect and one response.")
    if any(query is CURSOR for query in operation.query):
        parts.append("Pass `next_cursor` as `?cursor=` for the next page; null is the end.")
    return " ".join(parts)


def _security(scope: Scope | None) -> list[dict[str, list[str]]]:
    return [] if scope is None else [{"key": []}, {"oauth": [scope.value]}]


def _errors(operation: Operation) -> Iterator[int]:
    """Yield the error statuses that an operation's form implies, and its own."""
    yield from operation.refused
    if operation.needs_version:
        yield from (412, 428)
    if operation.body is not None:
        yield from (400, 413, 415)
    yield from (500, 503)
    if operation.scope is not None:
        yield from (401, 403, 429)
    if PATH_PARAMETER.search(operation.route):
        yield 404
    if operation.method == "post":
        yield 409
    if operation.body is not None or operation.query or operation.method == "post":
        yield 422


def _query(query: Query) -> dict[str, Any]:
    schema, description = dict(query.schema), query.description
    if query.is_repeatable:
        schema = {"type": "array", "items": schema, "maxItems": MAX_VALUES}
        description += " Give it several times for any of several values."
    example = [query.example] if query.is_repeatable else query.example
    return {
        "name": query.name,
        "in": "query",
        **({"required": True} if query.is_required else {}),
        "description": description,
        "schema": schema,
        "example": example,
    }


def _accepts_nothing(model: type[BaseModel]) -> bool:
    """Return whether an empty body is valid."""
    try:
        model.model_validate({})
    except ValidationError:
        return False
    return True


def _header(
    name: str, description: str, example: str, *, required: bool, pattern: str | None = None
) -> Mapping[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string", **({"pattern": pattern} if pattern else {})},
        "example": example,
    }


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return _ref("schemas", model.__name__)
