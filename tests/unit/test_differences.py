"""Test what a reviewer sees of two attempts: each field, and what changed of it."""

from typing import Any

import pytest

from apps.portal.differences import (
    MAX_WORDS,
    Change,
    Line,
    Piece,
    compared,
    count_of,
    lines_of,
    places_of,
)
from apps.ui.schema_forms import answers_of
from biolayer.pointers import points_into


def changes(before: Any, after: Any) -> dict[str, tuple[str | None, str, str]]:
    """Return by place: what changed, the text, and the text before."""
    found = {}

    def note(lines: tuple[Line, ...]) -> None:
        for line in lines:
            found[line.place] = (line.change, line.text, line.before)
            note(line.lines)

    note(compared(answers_of(None, after), answers_of(None, before)))
    return found


def test_compared__added_removed_and_changed() -> None:
    assert changes({"a": 1, "b": "x", "c": True}, {"a": 1, "b": "y", "d": 2}) == {
        "/a": (None, "1", ""),
        "/b": (Change.CHANGED, "y", "x"),
        "/d": (Change.ADDED, "2", ""),
        "/c": (Change.REMOVED, "Yes", ""),
    }


def test_compared__within_groups_and_lists() -> None:
    before = {"who": {"name": "Jo"}, "items": ["a", "b"]}
    after = {"who": {"name": "Jo", "phone": "1"}, "items": ["a"]}
    assert changes(before, after) == {
        "/who": (None, "", ""),
        "/who/name": (None, "Jo", ""),
        "/who/phone": (Change.ADDED, "1", ""),
        "/items": (None, "", ""),
        "/items/0": (None, "a", ""),
        "/items/1": (Change.REMOVED, "b", ""),
    }


@pytest.mark.parametrize(
    ("before", "after"), [({"a": {"b": 1}}, {"a": "x"}), ({"a": "x"}, {"a": {"b": 1}})]
)
def test_compared__a_value_that_became_a_group_or_was_one(before: Any, after: Any) -> None:
    found = changes(before, after)
    assert found["/a"][0] is Change.CHANGED
    assert found["/a"][2] in ("x", "B: 1")


def test_compared__whole_texts() -> None:
    (line,) = compared(answers_of(None, "one two three"), answers_of(None, "one three"))
    assert line.place == ""
    assert line.pieces == (Piece("one"), Piece(" two", Change.ADDED), Piece(" three"))


@pytest.mark.parametrize(
    ("before", "after"),
    [("red", "blue"), ("a " * (MAX_WORDS + 1), "a " * MAX_WORDS), ("", "new")],
    ids=["unlike", "long", "empty"],
)
def test_compared__texts_that_are_not_shown_word_by_word(before: str, after: str) -> None:
    (line,) = compared(answers_of(None, {"a": after}), answers_of(None, {"a": before}))
    assert (line.change, line.pieces) == (Change.CHANGED, ())
    assert line.before


def test_compared__pieces_make_up_both_texts() -> None:
    before, after = "The gate  was\nopen at noon.", "The north gate was\nclosed at noon."
    (line,) = compared(answers_of(None, {"a": after}), answers_of(None, {"a": before}))
    kept = [one.text for one in line.pieces if one.change is not Change.REMOVED]
    assert "".join(kept) == after


def test_count__counts_a_new_group_once() -> None:
    lines = compared(answers_of(None, {"a": {"b": 1, "c": 2}, "d": 1}), answers_of(None, {"d": 2}))
    assert count_of(lines) == 2
    assert count_of(lines_of(answers_of(None, {"a": 1}))) == 0


@pytest.mark.parametrize(
    "output",
    [{"a/b": {"m~n": [1, {"": 2}]}, "0": []}, [1, [2]], "text", {"deep": [[["x"]]]}],
)
def test_places__lead_into_the_output(output: Any) -> None:
    places = [place for place, _ in places_of(answers_of(None, output))]
    assert places
    assert all(points_into(place, output) for place in places)


def test_places__have_the_labels_of_their_groups() -> None:
    assert dict(places_of(answers_of(None, {"who": {"name": "Jo"}}))) == {
        "/who": "Who",
        "/who/name": "Who: Name",
    }
