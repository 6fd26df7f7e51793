"""Estimate an upper bound of the work of checking an output, before any output exists.

References that fan out (`allOf` of two references to an `allOf` of two …) double the work at each
step: 1 KiB of schema could cost minutes. The bound counts schema nodes: 1 for each subschema, and 1
for each value inside its `enum`, `const`, `required` and the like.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Any

from apps.tasks.schemas.keywords import DATA, DISJUNCTIONS, UNEVALUATED, Applied, subschemas
from apps.tasks.schemas.references import References

MAX_OUTPUT_DEPTH = 64

# Nodes that one value of an output, and all around it, may be checked against.
MAX_COST = 10_000

# Of the estimate itself: some tenths of a second.
MAX_STEPS = 400_000

MAX_PATTERN_COST = 200
UNICODE_CLASS_COST = 20
# A repetition is unrolled when the pattern is compiled.
REPEATED = re.compile(r"\{(\d+)(?:,(\d*))?\}")
# A finite automaton cannot match these, so the library backtracks: lookaround, possessive and
# atomic groups, backreferences, recursion.
BACKTRACKING = re.compile(r"\(\?(?:[=!>&R(|+0-9-]|<[=!]|P[>=])|\\[1-9kgKGX]|[*+?}]\+")
# These are thousands of ranges.
UNICODE_CLASS = re.compile(r"\\[pPwWdDsSbB]|\[\^|(?<!\\)\.")


class TooComplex(ValueError):
    """Raised when the work grows with each level of an output, or does not end."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold the highest cost of checking one value."""

    # Schema nodes that one value of the output, and all around it, is checked against, if every
    # branch of each `anyOf` and `oneOf` is tried; `MAX_COST + 1` stands for more.
    nodes: int
    # Whether checking a property may check all others again.
    is_quadratic: bool
    # Of all patterns: see `pattern_cost`. Beyond `MAX_PATTERN_COST` they may need backtracking.
    patterns: int

    def of_output(self, values: int) -> int:
        """Return the most schema nodes that an output of `values` values is checked against."""
        return self.nodes * values * (values if self.is_quadratic else 1)


def cost_of(document: Mapping[str, Any], references: References) -> Cost:
    """Return the cost of a schema.

    Raise `TooComplex` where one path alone costs too much, with the costliest branch of each
    `anyOf` and `oneOf`. Raise what `References.targets` raises.
    """
    schemas = []
    for _, schema in references.all():
        references.targets(schema)  # It may reveal further schemas.
        schemas.append(schema)
    if _Estimate(schemas, references, is_one_path=True).of(document) > MAX_COST:
        raise TooComplex("its references multiply; an output could take minutes to check")
    patterns = [text for schema in schemas for text in _patterns(schema)]
    return Cost(
        nodes=_whole(document, schemas, references),
        is_quadratic=any(UNEVALUATED & schema.keys() for schema in schemas),
        patterns=sum(map(pattern_cost, patterns)),
    )


def _whole(
    document: Mapping[str, Any], schemas: Sequence[Mapping[str, Any]], references: References
) -> int:
    try:
        return _Estimate(schemas, references, is_one_path=False).of(document)
    except TooComplex:
        return MAX_COST + 1


Key = str | int

# How often each schema is applied to one value, by number.
Counts = Mapping[int, int]

# The same for alternatives, of which one is applied.
Choices = Mapping[tuple[int, ...], int]


@dataclass(slots=True)
class _Node:
    """Hold a schema with the numbers of the schemas that it applies."""

    own: int
    # For the same value: one of each list, the costliest in the worst case.
    here: list[list[int]] = field(default_factory=list)
    # Whether the same value is checked again, to find what was left unevaluated.
    is_twice: bool = False
    properties: dict[Key, int] = field(default_factory=dict)
    items: dict[Key, int] = field(default_factory=dict)
    applied: dict[Applied, list[int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Entry:
    """Hold a schema that a value starts with: all that applies to it and to its children."""

    own: int
    # For each child with a key of its own, and for all others: which schemas, and how often.
    children: list[list[tuple[int, int]]]
    # Besides, one of these to the value, and how often: the costliest in the worst case.
    choices: list[tuple[tuple[int, ...], int]]

    def cost(self, same: Sequence[int], below: Sequence[int]) -> int:
        """Return the cost, from the costs for the same value, and for values one level below."""
        total = self.own
        total += max(
            (sum(below[number] * count for number, count in applied) for applied in self.children),
            default=0,
        )
        total += sum(
            count * max(same[number] for number in numbers) for numbers, count in self.choices
        )
        return min(total, MAX_COST + 1)


class _Estimate:
    """Sum what applies to one value, and to each of its children, level by level."""

    def __init__(
        self,
        schemas: Sequence[Mapping[str, Any]],
        references: References,
        *,
        is_one_path: bool,
    ) -> None:
        self._is_one_path = is_one_path
        self._numbers = {id(schema): number for number, schema in enumerate(schemas)}
        self._nodes = [self._node(schema, references) for schema in schemas]
        self._order = self._in_order()
        self._steps = 0

    def _node(self, schema: Mapping[str, Any], references: References) -> _Node:
        node = _Node(
            own=1 + sum(size_of(schema[name]) for name in DATA & schema.keys()),
            is_twice=bool(UNEVALUATED & schema.keys()),
        )
        branches: dict[Key, list[int]] = {}
        for path, part, applied in subschemas(schema):
            number = self._numbers[id(part)]
            if applied is Applied.HERE and self._is_one_path and path[0] in DISJUNCTIONS:
                branches.setdefault(path[0], []).append(number)
            elif applied is Applied.HERE:
                node.here.append([number])
            elif applied is Applied.NAMED:
                named = node.items if path[0] == "prefixItems" else node.properties
                named[path[1]] = number
            else:
                node.applied.setdefault(applied, []).append(number)
        node.here += branches.values()
        for targets in references.targets(schema):
            numbers = [self._numbers[id(target)] for target in targets if isinstance(target, dict)]
            if numbers:
                node.here.append(numbers)
        return node

    def of(self, document: Mapping[str, Any]) -> int:
        """Return the cost for outputs of `MAX_OUTPUT_DEPTH` levels. Raise `TooComplex`."""
        root = self._numbers[id(document)]
        starting = self._starting_schemas(root)
        # The schemas of a choice come before the schema that has the choice.
        entries = {
            number: self._entry(number) for number in reversed(self._order) if number in starting
        }
        below = [1] * len(self._nodes)
        for _ in range(MAX_OUTPUT_DEPTH):
            costs = list(below)
            for number, entry in entries.items():
                costs[number] = entry.cost(costs, below)
                self._count(1 + len(entry.children) + len(entry.choices))
            if costs == below or costs[root] > MAX_COST:
                return costs[root]
            below = costs
        return below[root]

    def _starting_schemas(self, root: int) -> set[int]:
        """Return the schemas that a value starts with: the root, of children, and of choices."""
        numbers = {root}
        for node in self._nodes:
            for alternatives in node.here:
                numbers.update(alternatives if len(alternatives) > 1 else ())
            numbers.update(node.properties.values(), node.items.values())
            for applied, others in node.applied.items():
                if applied is not Applied.NEVER:
                    numbers.update(others)
        return numbers

    def _entry(self, number: int) -> _Entry:
        counts, choices = self._applied(number)
        own = 0
        properties, items = _Children(), _Children()
        for applied_number, count in counts.items():
            node = self._nodes[applied_number]
            own += node.own * count * (2 if node.is_twice else 1)
            self._count(1 + len(node.properties) + len(node.items))

            def numbers(applied: Applied, node: _Node = node) -> Sequence[int]:
                return node.applied.get(applied, ())

            properties.add(
                node.properties,
                numbers(Applied.PROPERTIES),
                numbers(Applied.OTHER_PROPERTIES),
                count,
            )
            items.add(node.items, numbers(Applied.ITEMS), numbers(Applied.OTHER_ITEMS), count)
        children = [*properties.applied(), *items.applied()]
        return _Entry(min(own, MAX_COST + 1), children, [*choices.items()])

    def _applied(self, number: int) -> tuple[Counts, Choices]:
        """Return what applies to a value that starts with a schema, and how often."""
        counts: dict[int, int] = {number: 1}
        choices: dict[tuple[int, ...], int] = {}
        for applied_number in self._order:
            count = counts.get(applied_number, 0)
            if not count:
                continue
            self._count(1 + len(self._nodes[applied_number].here))
            for alternatives in self._nodes[applied_number].here:
                if len(alternatives) == 1:
                    only = alternatives[0]
                    counts[only] = min(counts.get(only, 0) + count, MAX_COST + 1)
                else:
                    choice = tuple(alternatives)
                    choices[choice] = min(choices.get(choice, 0) + count, MAX_COST + 1)
        return counts, choices

    def _in_order(self) -> list[int]:
        """Return all numbers, each before the schemas that it applies to the same value."""
        before = {number: chain(*node.here) for number, node in enumerate(self._nodes)}
        try:
            return list(TopologicalSorter(before).static_order())[::-1]
        except CycleError:
            raise TooComplex("it refers to itself for the same value, without end") from None

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise TooComplex("it refers to itself in too many places")


class _Children:
    """Collect what applies to the children of a value: by key, and to all others."""

    def __init__(self) -> None:
        self._parts: list[tuple[Mapping[Key, int], Sequence[int], Sequence[int], int]] = []

    def add(
        self, named: Mapping[Key, int], every: Sequence[int], others: Sequence[int], count: int
    ) -> None:
        """Add a schema's part: children by key, `every` child, and the `others` without a key."""
        if named or every or others:
            self._parts.append((named, every, others, count))

    def applied(self) -> Iterator[list[tuple[int, int]]]:
        """Yield, for each child, which schemas apply to it, and how often."""
        keys = {key for named, *_ in self._parts for key in named}
        # Usually there is one schema, which may have thousands of keys.
        for key in (*keys, None):
            applied: list[tuple[int, int]] = []
            for named, every, others, count in self._parts:
                applied += [(number, count) for number in every]
                if key is not None and key in named:
                    applied.append((named[key], count))
                else:
                    applied += [(number, count) for number in others]
            if applied:
                yield applied


def size_of(value: Any) -> int:
    """Return how many values are inside a value."""
    count, pending = 0, [value]
    while pending:
        item = pending.pop()
        children = list(item.values()) if isinstance(item, dict) else item
        if isinstance(children, list):
            count += len(children)
            pending += children
    return count


def _patterns(schema: Mapping[str, Any]) -> list[str]:
    several = schema.get("patternProperties")
    patterns = [schema.get("pattern"), *(several if isinstance(several, dict) else ())]
    return [text for text in patterns if isinstance(text, str)]


def pattern_cost(pattern: str) -> int:
    """Return the least length of a pattern with its repetitions unrolled.

    With backtracking it is more than `MAX_PATTERN_COST`.
    """
    if BACKTRACKING.search(pattern):
        return MAX_PATTERN_COST + 1
    cost = len(pattern) + UNICODE_CLASS_COST * len(UNICODE_CLASS.findall(pattern))
    for least, most in REPEATED.findall(pattern):
        cost = min(cost * max(1, int(most or least)), MAX_PATTERN_COST + 1)
    return cost
