"""Define what every error has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """Describe a fault of a document: a JSON Pointer (RFC 6901), a stable code, and a text."""

    pointer: str
    code: str
    detail: str


def pointer(*parts: str | int) -> str:
    """Return the JSON Pointer (RFC 6901) of a path into a document; "" for the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class BioLayerError(Exception):
    """Carry a stable `code` for programs, and a sentence for people as `str(error)`."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return further members of the problem document, by name."""
        return {}
