"""Describe the calls of an API on the methods of its views.

`operation` decorates a method; `operations_of` collects the descriptions of the views behind some
routes. The OpenAPI document and the tests of all calls are built from them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from django.urls import URLPattern
from pydantic import BaseModel

from apps.accounts.scopes import Scope
from apps.api.http.pagination import DEFAULT_LIMIT, MAX_LIMIT

JSON = "application/json"
OCTETS = "application/octet-stream"
BINARY: dict[str, Any] = {
    "type": "string",
    "format": "binary",
    "contentMediaType": OCTETS,
    "minLength": 1,
}
"""The schema of a file in a form."""
METHODS = ("get", "post", "put", "patch", "delete")
ATTRIBUTE = "operation"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Query:
    """Describe a parameter of the query."""

    name: str
    schema: Mapping[str, Any]
    description: str
    example: Any
    # Whether it may be repeated; several values mean any of them.
    is_repeatable: bool = False
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """Describe one method of one route."""

    name: str
    # None: no credential is needed.
    scope: Scope | None
    summary: str
    # Status and model of each success; None is an empty body.
    returns: Mapping[int, type[BaseModel] | None]
    body: type[BaseModel] | None = None
    query: tuple[Query, ...] = ()
    # For a request or a response that is not JSON.
    body_type: str = JSON
    media_type: str = JSON
    # Of a response that is a file: its possible types.
    file_types: tuple[str, ...] = ()
    # Of a response with a document a line: what the last one is.
    last_line: type[BaseModel] | None = None
    # An example of the same response as CSV; empty where there is none.
    csv_example: str = ""
    # Whether it needs `If-Match`: see http/versions.py.
    needs_version: bool = False
    # Errors that its form does not imply.
    refused: tuple[int, ...] = ()
    # Further media types of the body, in OpenAPI's form.
    other_bodies: Mapping[str, Any] = field(default_factory=dict)
    # The names of headers that it takes, described by its API.
    headers: tuple[str, ...] = ()
    # Filled in by `operations_of`; the route is that of the URL pattern.
    method: str = ""
    route: str = ""


def operation(
    name: str,
    *,
    scope: Scope | None,
    summary: str,
    returns: Mapping[int, type[BaseModel] | None],
    **more: Any,
) -> Callable[[F], F]:
    """Describe the method of a view as the operation `name`: see `Operation` for the arguments."""
    described = Operation(name, scope, summary, returns, **more)

    def decorate(method: F) -> F:
        setattr(method, ATTRIBUTE, described)
        return method

    return decorate


def operations_of(patterns: Iterable[URLPattern]) -> list[Operation]:
    """Return the operations behind some routes, in the order of the routes."""
    return [operation for pattern in patterns for operation in _operations_behind(pattern)]


def _operations_behind(pattern: URLPattern) -> Iterator[Operation]:
    view = pattern.callback.view_class  # type: ignore[attr-defined]
    for name in METHODS:
        described = getattr(getattr(view, name, None), ATTRIBUTE, None)
        if described is not None:
            yield replace(described, method=name, route=str(pattern.pattern))


CURSOR = Query("cursor", {"type": "string"}, "`next_cursor` of the page before.", "eyJhIjoxfQ")
LIMIT = Query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "The most items of a page.",
    DEFAULT_LIMIT,
)
PAGED = (CURSOR, LIMIT)


def filter_by(name: str, description: str, example: str, **schema: Any) -> Query:
    """Describe a filter of a list, of which several values mean any of them."""
    return Query(name, {"type": "string", **schema}, description, example, is_repeatable=True)
