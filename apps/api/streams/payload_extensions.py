"""Register what an item of the feed may have beside its event, by the value of `?payload=`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Returns, for each of some events and in their order, the further fields of its item.
PayloadExtension = Callable[[Sequence[Any]], Sequence[Mapping[str, Any]]]

PAYLOAD_EXTENSIONS: dict[str, PayloadExtension] = {}
