"""What an item of the feed can say beside its event, by the name it is asked for (`?payload=`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

PayloadExtension = Callable[[Sequence[Any]], Sequence[Mapping[str, Any]]]
"""Answers, for each of some events and in their order, the further members of its item."""

PAYLOAD_EXTENSIONS: dict[str, PayloadExtension] = {}
