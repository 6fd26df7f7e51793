"""An upper bound of the work that a schema makes of an output, known before any output is there.

References that fan out (`allOf` of two references to an `allOf` of two …) double the work at each step:
1 KiB of schema could cost minutes. The bound counts schema nodes: 1 for each subschema, and 1 for each
value inside its `enum`, `const`, `required` and the like.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Any

from apps.tasks.schemas.keywords import DATA, UNEVALUATED, Applied, subschemas
from apps.tasks.schemas.references import References

MAX_OUTPUT_DEPTH = 64
MAX_COST = 10_000
"""Nodes that one value of an output, and all around it, may be checked against."""

MAX_STEPS = 300_000
"""Of the estimate itself: some tenths of a second."""

MAX_PATTERN_COST = 500
# A repetition is unrolled when the pattern is compiled.
REPEATED = re.compile(r"\{(\d+)(?:,(\d*))?\}")
# What a finite automaton cannot do is tried by backtracking.
BACKTRACKING = re.compile(r"\(\?(?:[=!>]|<[=!])|\\[1-9k]")


class TooComplex(ValueError):
    """The work grows with each level of an output, or has no end."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a check of one value costs at most."""

    # Schema nodes that one value of the output, and all around it, is checked against.
    nodes: int
    # Whether each property may look at all others once more.
    is_quadratic: bool
    # Whether the patterns are short, and need no backtracking.
    has_plain_patterns: bool

    def of_output(self, values: int) -> int:
        """Return the schema nodes that an output of so many values is checked against, at most."""
        return self.nodes * values * (values if self.is_quadratic else 1)


def cost_of(document: Mapping[str, Any], references: References) -> Cost:
    """Return the cost of a schema. Raises `TooComplex`, and what `References.targets` raises."""
    schemas = []
    for _, schema in references.all():
        references.targets(schema)  # It may reveal further ones.
        schemas.append(schema)
    nodes = _Estimate(schemas, references).of(document)
    patterns = [text for schema in schemas for text in _patterns(schema)]
    return Cost(
        nodes=nodes,
        is_quadratic=any(UNEVALUATED & schema.keys() for schema in schemas),
        has_plain_patterns=sum(map(pattern_cost, patterns)) <= MAX_PATTERN_COST,
    )


Key = str | int


class _Children:
    """The cost for each child of a value: of properties by name, or of items by number."""

    __slots__ = ("named", "other")

    def __init__(self, named: dict[Key, int] | None = None, other: int = 0) -> None:
        self.named = named or {}
        # For each child that has no number of its own here.
        self.other = other

    def of(self, key: Key) -> int:
        return self.named.get(key, self.other)

    def most(self) -> int:
        return max(self.other, max(self.named.values(), default=0))

    def __add__(self, more: "_Children") -> "_Children":
        named = {key: self.of(key) + more.of(key) for key in self.named.keys() | more.named.keys()}
        return _Children(named, self.other + more.other)

    def __or__(self, either: "_Children") -> "_Children":
        """Return, for each child, the greater of both costs."""
        keys = self.named.keys() | either.named.keys()
        named = {key: max(self.of(key), either.of(key)) for key in keys}
        return _Children(named, max(self.other, either.other))


@dataclass(slots=True)
class _Sum:
    """The cost for one value: of itself, and of each of its children."""

    own: int
    properties: _Children
    items: _Children

    @property
    def whole(self) -> int:
        """The cost for the value and for all on the way to the dearest of its descendants."""
        most = max(self.properties.most(), self.items.most())
        return min(self.own + most, MAX_COST + 1)

    def __add__(self, more: "_Sum") -> "_Sum":
        return _Sum(
            min(self.own + more.own, MAX_COST + 1),
            self.properties + more.properties,
            self.items + more.items,
        )

    def __or__(self, either: "_Sum") -> "_Sum":
        return _Sum(
            max(self.own, either.own),
            self.properties | either.properties,
            self.items | either.items,
        )


@dataclass(slots=True)
class _Node:
    """A schema, with the numbers of those that it applies."""

    own: int
    # For the same value: of each list one, the dearest at worst.
    here: list[list[int]]
    # For the same value once more, to find what they left unevaluated.
    is_twice: bool
    named_properties: dict[Key, int] = field(default_factory=dict)
    named_items: dict[Key, int] = field(default_factory=dict)
    applied: dict[Applied, list[int]] = field(default_factory=dict)

    def sum(self, same: Sequence[_Sum], below: Sequence[int]) -> _Sum:
        """Return the cost, from what those for the same value cost, and those a level below."""

        def total(applied: Applied) -> int:
            return sum(below[number] for number in self.applied.get(applied, ()))

        result = _Sum(
            self.own,
            _children(
                self.named_properties,
                below,
                total(Applied.PROPERTIES),
                total(Applied.OTHER_PROPERTIES),
            ),
            _children(self.named_items, below, total(Applied.ITEMS), total(Applied.OTHER_ITEMS)),
        )
        for either in self.here:
            dearest = reduce(_Sum.__or__, (same[number] for number in either))
            result += dearest
            if self.is_twice:
                result += dearest
        return result


def _children(named: Mapping[Key, int], below: Sequence[int], every: int, other: int) -> _Children:
    return _Children({key: every + below[number] for key, number in named.items()}, every + other)


class _Estimate:
    """Adds up what applies to one value, and to each of its children, level by level."""

    def __init__(self, schemas: Sequence[Mapping[str, Any]], references: References) -> None:
        self._numbers = {id(schema): number for number, schema in enumerate(schemas)}
        self._nodes = [self._node(schema, references) for schema in schemas]

    def _node(self, schema: Mapping[str, Any], references: References) -> _Node:
        node = _Node(
            own=1 + sum(size_of(schema[name]) for name in DATA & schema.keys()),
            here=[],
            is_twice=bool(UNEVALUATED & schema.keys()),
        )
        for path, part, applied in subschemas(schema):
            number = self._numbers[id(part)]
            if applied is Applied.HERE:
                node.here.append([number])
            elif applied is Applied.NAMED:
                named = node.named_items if path[0] == "prefixItems" else node.named_properties
                named[path[1]] = number
            else:
                node.applied.setdefault(applied, []).append(number)
        for either in references.targets(schema):
            numbers = [self._numbers[id(one)] for one in either if isinstance(one, dict)]
            if numbers:
                node.here.append(numbers)
        return node

    def of(self, document: Mapping[str, Any]) -> int:
        """Return the cost for outputs of `MAX_OUTPUT_DEPTH` levels."""
        root, order = self._numbers[id(document)], self._in_order()
        below = [1] * len(self._nodes)
        steps = 0
        for _ in range(MAX_OUTPUT_DEPTH):
            sums: list[_Sum] = [_NOTHING] * len(self._nodes)
            for number in order:
                found = self._nodes[number].sum(sums, below)
                sums[number] = found
                steps += 1 + len(self._nodes[number].here) * (1 + len(found.properties.named))
                if steps > MAX_STEPS:
                    raise TooComplex("it refers to itself in too many places")
            costs = [one.whole for one in sums]
            if costs[root] > MAX_COST:
                raise TooComplex("its references multiply; an output could take minutes to check")
            if costs == below:
                break
            below = costs
        return below[root]

    def _in_order(self) -> list[int]:
        """Return all numbers, each after those that it applies to the same value."""
        before = {number: chain(*node.here) for number, node in enumerate(self._nodes)}
        try:
            return list(TopologicalSorter(before).static_order())
        except CycleError:
            raise TooComplex("it refers to itself for the same value, without end") from None


_NOTHING = _Sum(0, _Children(), _Children())


def size_of(value: Any) -> int:
    """Return how many values are inside a value."""
    count, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        children = list(item.values()) if isinstance(item, dict) else item
        if isinstance(children, list):
            count += len(children)
            waiting += children
    return count


def _patterns(schema: Mapping[str, Any]) -> list[str]:
    several = schema.get("patternProperties")
    found = [schema.get("pattern"), *(several if isinstance(several, dict) else ())]
    return [text for text in found if isinstance(text, str)]


def pattern_cost(pattern: str) -> int:
    """Return the length of a pattern with its repetitions unrolled, at least; huge with backtracking."""
    if BACKTRACKING.search(pattern):
        return MAX_PATTERN_COST + 1
    cost = len(pattern)
    for least, most in REPEATED.findall(pattern):
        cost = min(cost * max(1, int(most or least)), MAX_PATTERN_COST + 1)
    return cost
