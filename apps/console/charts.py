"""Compute the coordinates of the board's charts, which are inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH, HEIGHT = 720, 120
GAP = 0.2
"""The share of a bar's place that stays empty."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Hold one period: its bar of tasks that came, and the narrower one of tasks that were done."""

    start: datetime
    came: int
    done: int
    x: float
    width: float
    came_y: float
    came_height: float
    done_x: float
    done_width: float
    done_y: float
    done_height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Hold the bars, and the highest value, which the axis shows."""

    bars: list[Bar]
    top: int
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def is_empty(self) -> bool:
        return self.top == 0


def flow_chart(periods: Sequence[tuple[datetime, int, int]]) -> Chart:
    """Return bars of (start, came, done) for each period, oldest first."""
    top = max((max(came, done) for _, came, done in periods), default=0)
    step = WIDTH / max(1, len(periods))
    width = step * (1 - GAP)
    bars = []
    for number, (start, came, done) in enumerate(periods):
        x = number * step + step * GAP / 2
        came_height, done_height = _height(came, top), _height(done, top)
        bars.append(
            Bar(
                start=start,
                came=came,
                done=done,
                x=round(x, 2),
                width=round(width, 2),
                came_y=HEIGHT - came_height,
                came_height=came_height,
                done_x=round(x + width / 4, 2),
                done_width=round(width / 2, 2),
                done_y=HEIGHT - done_height,
                done_height=done_height,
            )
        )
    return Chart(bars, top)


def _height(count: int, top: int) -> float:
    """Return the height of a bar; what is not zero is seen."""
    return 0.0 if count == 0 else max(2.0, round(HEIGHT * count / top, 2))
