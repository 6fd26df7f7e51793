"""Render JSON by orjson: several times faster than the standard encoder, and without NaN."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class FastJSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else dump_json(data)


class RenderedPage(NamedTuple):
    """Hold a page of a list whose items are JSON already."""

    data: Sequence[bytes]
    next_cursor: str | None


def dump_json(data: BaseModel | RenderedPage | bytes | Any) -> bytes:
    """Return JSON; bytes are JSON already.

    Fields of a response model that were not set are left out, rather than null.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, RenderedPage):
        cursor = orjson.dumps(data.next_cursor)
        return b'{"data":[' + b",".join(data.data) + b'],"next_cursor":' + cursor + b"}"
    if isinstance(data, BaseModel):
        return data.__pydantic_serializer__.to_json(data, by_alias=True, exclude_unset=True)
    return orjson.dumps(data)


class AlwaysJSON(BaseContentNegotiation):
    """Select JSON for every `Accept`, as RFC 9110, 12.4.1, allows: it is the only representation.

    A client that cannot read it could not read the error, either.
    """

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type
