"""Test the coordinates of the board's chart."""

from datetime import UTC, datetime, timedelta

from apps.console.charts import HEIGHT, WIDTH, flow_chart

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def periods(*counts: tuple[int, int]) -> list[tuple[datetime, int, int]]:
    return [(NOON + timedelta(minutes=number), *pair) for number, pair in enumerate(counts)]


def test_chart__has_a_bar_for_each_period_within_its_bounds() -> None:
    chart = flow_chart(periods((4, 2), (0, 1), (8, 8)))
    assert chart.top == 8
    assert [(bar.came_height, bar.done_height) for bar in chart.bars] == [
        (HEIGHT / 2, HEIGHT / 4),
        (0, HEIGHT / 8),
        (HEIGHT, HEIGHT),
    ]
    for bar, after in zip(chart.bars, chart.bars[1:], strict=False):
        assert bar.x + bar.width < after.x
        assert bar.came_y + bar.came_height == HEIGHT
        assert bar.x < bar.done_x < bar.done_x + bar.done_width < bar.x + bar.width
    assert chart.bars[-1].x + chart.bars[-1].width <= WIDTH


def test_chart__shows_one_among_very_many() -> None:
    chart = flow_chart(periods((1, 0), (100_000, 0)))
    assert chart.bars[0].came_height == 2


def test_chart__of_nothing_is_empty() -> None:
    assert flow_chart(periods((0, 0))).is_empty
    assert flow_chart([]).bars == []
