"""Resolve the references of a schema. Targets must be inside the document: nothing is fetched.

A document may hold several schema resources: the whole, and each subschema with an `$id`. A
reference is resolved against the resource that contains it. Source: JSON Schema Core 2020-12,
sections 8.2 and 9.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from apps.tasks.schemas.keywords import REFERENCES, Path, subschemas

Schema = Mapping[str, Any]


class BadReference(ValueError):
    """Raised for a reference without a target. `keyword` names the one of the schema."""

    keyword = ""


class OutsideReference(BadReference):
    """Raised for a reference to a resource that is not in the document."""


class UnknownReference(BadReference):
    """Raised for a reference to a place or an anchor that is not in its resource."""


class References:
    """Index the resources and anchors of one document.

    The document must not change: schemas are known by their identity. `duplicates` are the places
    of names that another schema has already: their target is undefined (Core 2020-12, 8.2.1 and
    8.2.2).
    """

    def __init__(self, document: Schema) -> None:
        self._document = document
        # By `id()` of each schema that was visited: the URI of its resource, and its own place.
        self._base: dict[int, str] = {}
        self._place: dict[int, Path] = {}
        self._visited: list[Schema] = []
        self._targets: dict[int, list[list[Any]]] = {}
        self._resources: dict[str, Schema] = {"": document}
        self._anchors: dict[tuple[str, str], Schema] = {}
        self._dynamic: dict[str, list[Schema]] = {}
        self.duplicates: list[tuple[Path, str]] = []
        self._visit(document, "", ())

    def all(self) -> Iterator[tuple[Path, Schema]]:
        """Yield each schema of the document once, and its path.

        Schemas that only a reference reveals (`#/definitions/a`) follow when it is resolved.
        """
        index = 0
        while index < len(self._visited):
            schema = self._visited[index]
            yield self._place[id(schema)], schema
            index += 1

    def targets(self, schema: Schema) -> list[list[Any]]:
        """Return the possible targets of each reference of a schema.

        One schema, except for a `$dynamicRef` with several dynamic anchors of its name. Raise
        `OutsideReference` or `UnknownReference`. A reference that is no string is left to the check
        of the schema's form.
        """
        if id(schema) not in self._targets:
            self._targets[id(schema)] = self._resolved(schema)
        return self._targets[id(schema)]

    def _resolved(self, schema: Schema) -> list[list[Any]]:
        targets: list[list[Any]] = []
        for keyword in REFERENCES:
            reference = schema.get(keyword)
            if not isinstance(reference, str):
                continue
            try:
                target = self._target(reference, base=self._base[id(schema)])
            except BadReference as error:
                error.keyword = keyword
                raise
            name = unquote(reference.partition("#")[2])
            is_dynamic = isinstance(target, dict) and target.get("$dynamicAnchor") == name
            if keyword == "$dynamicRef" and is_dynamic:
                targets.append(self._dynamic[name])
            else:
                targets.append([target])
        return targets

    def _target(self, reference: str, *, base: str) -> Any:
        """Return the target of a reference in the resource with the URI `base`."""
        address, _, fragment = reference.partition("#")
        uri = _joined(base, address)
        if uri not in self._resources:
            raise OutsideReference(f"{reference} is not inside the document")
        resource, fragment = self._resources[uri], unquote(fragment)
        if not fragment:
            return resource
        if fragment.startswith("/"):
            return self._at_pointer(resource, fragment, uri)
        try:
            return self._anchors[uri, fragment]
        except KeyError:
            raise UnknownReference(f"no schema has the anchor {fragment}") from None

    def _at_pointer(self, resource: Schema, fragment: str, uri: str) -> Any:
        """Follow a JSON Pointer (RFC 6901)."""
        value: Any = resource
        names = [part.replace("~1", "/").replace("~0", "~") for part in fragment[1:].split("/")]
        for name in names:
            try:
                value = value[int(name) if isinstance(value, list) and name.isdecimal() else name]
            except (KeyError, IndexError, TypeError, ValueError):
                raise UnknownReference(f"nothing is at #{fragment}") from None
            if isinstance(value, dict):
                uri = self._base.get(id(value), uri)
        if isinstance(value, dict):
            self._visit(value, uri, (*self._place[id(resource)], *names))
        return value

    def _visit(self, schema: Schema, base: str, place: Path) -> None:
        """Index a schema and all inside it, unless it is known already."""
        pending = [(schema, base, place)]
        while pending:
            schema, base, place = pending.pop()
            if id(schema) in self._base:
                continue
            own = self._own_base(schema, base, place)
            self._base[id(schema)], self._place[id(schema)] = own, place
            self._visited.append(schema)
            self._index_anchors(schema, own, place)
            pending += [(part, own, (*place, *path)) for path, part, _ in subschemas(schema)]

    def _own_base(self, schema: Schema, base: str, place: Path) -> str:
        identifier = schema.get("$id")
        if not isinstance(identifier, str):
            return base
        try:
            uri = _joined(base, identifier.partition("#")[0])
        except OutsideReference:
            return base  # The check of the schema's form refuses it.
        if self._resources.setdefault(uri, schema) is not schema:
            self.duplicates.append((place, "$id"))
        return uri

    def _index_anchors(self, schema: Schema, base: str, place: Path) -> None:
        for keyword in "$anchor", "$dynamicAnchor":
            name = schema.get(keyword)
            if not isinstance(name, str):
                continue
            if self._anchors.setdefault((base, name), schema) is not schema:
                self.duplicates.append((place, keyword))
        dynamic = schema.get("$dynamicAnchor")
        if isinstance(dynamic, str):
            self._dynamic.setdefault(dynamic, []).append(schema)


def _joined(base: str, address: str) -> str:
    """Return the URI that a relative one means (RFC 3986, 5), normalised (6.2.2)."""
    try:
        parts = urlsplit(urljoin(base, address) if address else base)
    except ValueError:
        raise OutsideReference(f"{address} is no URI") from None
    path = urljoin("/", parts.path) if parts.netloc else parts.path
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, parts.query, ""))
