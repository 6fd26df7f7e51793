"""Reading bodies, bounded. Nothing is held in memory that is larger than it may be."""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.parsers import BaseParser, MultiPartParser

from biolayer.contract import MAX_DEPTH, depth_of
from biolayer.errors import Fault, InvalidInput, MalformedJSON, TooLarge

MULTIPART_ROOM = 64 * 1024
"""What the parts' headers and the form's fields may take beside the file itself."""


class FastJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The document. Raises `TooLarge`, `MalformedJSON`; an empty body is an empty object."""
        limit = settings.MAX_BODY_BYTES
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge(f"The body may have at most {limit} bytes.")
        if not body.strip():
            return {}
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise MalformedJSON(f"{error}.") from error
        # Counting brackets is cheap and rules nearly every document out.
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH and depth_of(document) > MAX_DEPTH:
            text = f"must not nest deeper than {MAX_DEPTH} levels"
            raise InvalidInput([Fault("", "too_deep", text)])
        return document


class BoundedMultiPartParser(MultiPartParser):
    """A form with one file of at most `max_file_bytes`."""

    max_file_bytes = 10 * 1024 * 1024

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Raises `TooLarge` before anything is read when the request announces too much."""
        announced = int(stream.META.get("CONTENT_LENGTH") or 0)
        if announced > self.max_file_bytes + MULTIPART_ROOM:
            raise TooLarge(f"A file may have at most {self.max_file_bytes} bytes.")
        return super().parse(stream, media_type, parser_context)
