"""Lay out the tasks around a task as a small graph: what it waits for on the left."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from apps.tasks.selectors import MAX_NODES, Node

WIDTH, HEIGHT = 168, 44
GAP_X, GAP_Y = 40, 12
MAX_TITLE = 20


class Box(NamedTuple):
    """Hold a task with the place of its box."""

    id: UUID
    title: str
    short: str
    status: str
    x: int
    y: int
    is_this: bool


class Drawing(NamedTuple):
    """Hold a graph; `before` and `after` are the same tasks as lists."""

    width: int
    height: int
    boxes: Sequence[Box]
    lines: Sequence[str]
    before: Sequence[Node]
    after: Sequence[Node]
    is_cut: bool


def drawn(task: Any, nodes: Sequence[Node]) -> Drawing | None:
    """Return the drawing of a task and those around it; None where there are none."""
    if not nodes:
        return None
    columns: dict[int, list[Any]] = defaultdict(list)
    columns[0].append(task)
    for node in nodes:
        columns[node.level].append(node)
    rows = max(map(len, columns.values()))
    height = rows * (HEIGHT + GAP_Y) - GAP_Y
    boxes = {}
    for place, level in enumerate(sorted(columns)):
        top = (height - len(columns[level]) * (HEIGHT + GAP_Y) + GAP_Y) // 2
        for row, one in enumerate(columns[level]):
            x, y = place * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y)
            boxes[one.id] = Box(one.id, one.title, _short(one.title), one.status, x, y, level == 0)
    links = {link for node in nodes for link in node.links}
    return Drawing(
        len(columns) * (WIDTH + GAP_X) - GAP_X,
        height,
        list(boxes.values()),
        [_line(boxes[b], boxes[a]) for a, b in sorted(links) if a in boxes and b in boxes],
        [node for node in nodes if node.level < 0],
        [node for node in nodes if node.level > 0],
        len(nodes) >= MAX_NODES,
    )


def _line(source: Box, target: Box) -> str:
    """Return the path from the right side of a box to the left side of another one."""
    x1, y1 = source.x + WIDTH, source.y + HEIGHT // 2
    x2, y2 = target.x, target.y + HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"


def _short(title: str) -> str:
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1] + "…"
