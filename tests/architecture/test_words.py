"""Check the wording of code and documentation: words, openings of docstrings, length of lines."""

import pytest

from tests.architecture.words import (
    MAX_COLUMNS,
    VERBS,
    docstrings,
    figures,
    forbidden_words,
    long_lines,
    opens_in_the_imperative,
)

DONE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "apps/accounts",
    "apps/api",
    "apps/base",
    "apps/console",
    "apps/events/models.py",
    "apps/events/selectors",
    "apps/events/services.py",
    "apps/matching",
    "apps/notices",
    "apps/pools",
    "apps/portal",
    "apps/reviews",
    "apps/sandbox",
    "apps/tasks",
    "apps/teams",
    "apps/timers",
    "apps/ui",
    "apps/webhooks",
    "bench",
    "biolayer",
    "config",
    "docs/adr",
    "docs/api.md",
    "docs/console.md",
    "docs/architecture.md",
    "docs/benches.md",
    "docs/events",
    "docs/events-feed.md",
    "docs/forms.md",
    "docs/glossary.md",
    "docs/lifecycle.md",
    "docs/notices.md",
    "docs/oauth.md",
    "docs/openapi.json",
    "docs/portal.md",
    "docs/running.md",
    "docs/webhooks.md",
    "local",
    "tests/acceptance",
    "tests/api",
    "tests/architecture",
    "tests/browser",
    "tests/clients",
    "tests/concurrency",
    "tests/conftest.py",
    "tests/factories.py",
    "tests/faults",
    "tests/integration",
    "tests/network",
    "tests/pages",
    "tests/portal",
    "tests/probes.py",
    "tests/unit",
    "tests/upgrades",
    "tests/verifiers",
)
"""Folders and files that are checked. The others are still to be reworded; add them here then."""

MINIMUM_SHARE = 0.85


@pytest.mark.parametrize("name", DONE)
def test_words__are_plain(name: str) -> None:
    found = figures(name).forbidden
    assert not found, "\n".join([*found, "Mend: name the worker, the caller or the task."])


@pytest.mark.parametrize("name", DONE)
def test_lines__fit(name: str) -> None:
    found = figures(name).long_lines
    assert not found, "\n".join([*found, f"Mend: wrap at {MAX_COLUMNS} columns, texts, too."])


@pytest.mark.parametrize("name", DONE)
def test_docstrings__open_in_the_imperative(name: str) -> None:
    measured = figures(name)
    mend = (
        f"Only {measured.share:.0%} of the docstrings open in the imperative, of"
        f" {MINIMUM_SHARE:.0%}. Mend: begin with a verb in the base form, such as Return. If the"
        " word is such a verb, add it to VERBS in tests/architecture/words.py."
    )
    assert measured.share >= MINIMUM_SHARE, "\n".join([*measured.other_openings, mend])


def test_verbs__are_in_order() -> None:
    assert list(VERBS) == sorted(set(VERBS)), "Mend: sort VERBS, without duplicates."


@pytest.mark.parametrize(
    "parts", [("some", "body"), ("in", " vain"), ("In\n", "vain"), ("a", "new")]
)
def test_a_forbidden_word__is_found(parts: tuple[str, str]) -> None:
    word = "".join(parts)
    assert list(forbidden_words(f"One.\nTwo {word}.")) == [(2, " ".join(word.split()))]


@pytest.mark.parametrize("harmless", ["nobody_found", '"nobody"', "renewal", "anewspaper", "vain"])
def test_a_similar_word__is_allowed(harmless: str) -> None:
    assert not list(forbidden_words(harmless))


@pytest.mark.parametrize(
    ("docstring", "is_imperative"),
    [
        ("Return the task.", True),
        ("Lock, then read.", True),
        ("Returns the task.", False),
        ("The task.", False),
        ("What a task is.", False),
        ("`document` as a model.", False),
        ("Seconds that a lease lasts.", False),
    ],
)
def test_opens_in_the_imperative__depends_on_the_first_word(
    docstring: str, *, is_imperative: bool
) -> None:
    assert opens_in_the_imperative(docstring) is is_imperative


def test_docstrings__are_those_of_modules_classes_and_functions() -> None:
    source = '"""One."""\nclass A:\n    """Two."""\n    def b(self):\n        """Three."""\n'
    assert [text for _, text in docstrings(source)] == ["One.", "Two.", "Three."]


def test_long_lines__are_longer_than_the_limit() -> None:
    assert list(long_lines(f"{'x' * MAX_COLUMNS}\n{'x' * (MAX_COLUMNS + 1)}\n")) == [2]
