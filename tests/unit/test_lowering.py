"""Test which requirements are proposed to be lowered."""

import pytest

from apps.matching.lowering import MAX_LOWERINGS, Lack, Lowering, best


def group(*texts: str, free: int = 1, workers: int = 1) -> Lowering:
    return Lowering(tuple(map(Lack.of, texts)), free, workers)


@pytest.mark.parametrize(
    "text", ["skill phone", "language fi", "certification c-1", "level phone 2", "trust 0"]
)
def test_lack__is_a_text_and_back(text: str) -> None:
    assert Lack.of(text).text == text


def test_rating__is_a_text_and_back() -> None:
    assert Lack.of("rating 4.0") == Lack("rating", value=4.0)
    assert Lack.of("rating 4.5").text == "rating 4.5"


@pytest.mark.parametrize("text", ["", "x", "skill", "skill a b", "trust x", "level a", "level a b"])
def test_other_texts__are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several of them
        Lack.of(text)


def test_trust__is_lowered_as_little_as_gives_a_free_worker() -> None:
    groups = [group("trust 3", free=0), group("trust 2", free=2, workers=3), group("trust 1")]
    assert best(groups) == [group("trust 2", free=2, workers=4)]


def test_trust__is_lowered_least_where_no_worker_is_free() -> None:
    groups = [group("trust 1", free=0), group("trust 3", free=0)]
    assert best(groups) == [group("trust 3", free=0)]


def test_two_values__cover_workers_with_both() -> None:
    groups = [
        group("level a 2", "trust 2"),
        group("level a 3", "trust 2", workers=5),
        group("level a 3", "trust 1", workers=7),
        group("level a 1", "trust 3", free=0),
    ]
    assert best(groups) == [group("level a 3", "trust 2", workers=5)]


def test_proposals__are_in_the_order_of_their_use() -> None:
    alone = group("skill a", free=0, workers=9)
    pair = group("skill a", "skill b", free=9, workers=9)
    one, more = group("skill c"), group("skill d", free=2, workers=2)
    assert best([alone, pair, one, more]) == [more, one, pair, alone]


def test_proposals__are_few() -> None:
    assert len(best([group(f"skill s{number}") for number in range(9)])) == MAX_LOWERINGS
