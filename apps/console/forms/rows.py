"""Edit a list of rows in a form without a script: each button sends the form, which comes back.

A row's fields have the prefix `<name>-<number>`, and a hidden field `<name>-rows` has the count.
The button `edit` says what to do: `add-<name>`, `remove-<name>-<number>`, `up-…`, `down-…`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.http import QueryDict

EDIT = re.compile(r"(add|remove|up|down)-([a-z]+)(?:-(\d{1,3}))?", re.ASCII)


class Rows:
    """Hold the forms of the rows, of which there are at most `most`."""

    def __init__(self, kind: type[Any], name: str, *, most: int, **options: Any) -> None:
        """Take the class of a row's form; `options` are for it."""
        self.kind, self.name, self.most, self.options = kind, name, most, options
        self.forms: list[Any] = []

    def show(self, values: Sequence[Mapping[str, Any]]) -> None:
        """Show rows as they are stored."""
        self.forms = [
            self.kind(prefix=self._prefix(number), initial=dict(row), **self.options)
            for number, row in enumerate(values)
        ]

    def read(self, sent: QueryDict) -> None:
        """Take the rows as they were sent, to be checked."""
        self.forms = [
            self.kind(sent, prefix=self._prefix(number), **self.options)
            for number in range(self._count(sent))
        ]

    def is_valid(self) -> bool:
        """Return whether every row is valid. Each is checked, and has its own errors."""
        checked = [form.is_valid() for form in self.forms]
        return all(checked)

    def edit(self, sent: QueryDict) -> bool:
        """Do what the button `edit` says, and show the rows. Return whether it is of this list."""
        match = EDIT.fullmatch(sent.get("edit", ""))
        if match is None or match[2] != self.name:
            return False
        rows = self._raw(sent)
        verb, number = match[1], int(match[3] or 0)
        if verb == "add" and len(rows) < self.most:
            rows.append({})
        elif verb == "remove" and number < len(rows):
            del rows[number]
        elif verb in ("up", "down"):
            other = number + (1 if verb == "down" else -1)
            if number < len(rows) and 0 <= other < len(rows):
                rows[number], rows[other] = rows[other], rows[number]
        self.show(rows)
        return True

    def _raw(self, sent: QueryDict) -> list[dict[str, Any]]:
        """Return the rows as they were typed, unchecked."""
        self.read(sent)
        return [{field.name: field.data for field in form} for form in self.forms]

    def _count(self, sent: QueryDict) -> int:
        text = sent.get(f"{self.name}-rows", "")
        return min(int(text), self.most) if text.isdecimal() and len(text) < 4 else 0

    def _prefix(self, number: int) -> str:
        return f"{self.name}-{number}"
