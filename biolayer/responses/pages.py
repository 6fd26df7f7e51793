"""Define the shape of a page of a list."""

from typing import Any

from biolayer.events.envelope import OpenModel


class Page(OpenModel):
    """A page of a list. Pass `next_cursor` as `cursor` to get the next page; null on the last."""

    data: list[Any]
    next_cursor: str | None
