"""Show codes to people: a name that programs gave, in words."""

from collections.abc import Iterator


def humanised(code: str) -> str:
    """Return a code in words: `reached_user`, `reached-user`, `reachedUser` are Reached user."""
    words = " ".join("".join(_spaced(code)).replace("_", " ").replace("-", " ").split())
    return words[:1].upper() + words[1:]


def _spaced(code: str) -> Iterator[str]:
    for before, letter in zip(f" {code}", code, strict=False):
        is_start = before.islower() and letter.isupper()
        yield f" {letter.lower()}" if is_start else letter
