"""Load SQL statements from the `queries/` folder of an app."""

import re
from importlib.resources import files

COMMENT = re.compile(r"--.*")
PART = re.compile(r"\{\{ (\w+) \}\}")


def load_query(package: str, name: str, **parts: str) -> str:
    """Return the statement of `load_template`, with its parts by `fill`. Call this at import."""
    return fill(load_template(package, name), **parts)


def load_template(package: str, name: str) -> str:
    """Return the statement in `queries/<name>.sql` of a package such as `apps.matching`.

    Comments and indentation are left out: psycopg would read a `%` in a comment as a placeholder,
    and caches no statement of over 4 KB. So no string in a statement may contain `--`. Use this
    where a part of the statement differs from call to call, and `load_query` elsewhere.
    """
    text = files(package).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    lines = (line.strip() for line in COMMENT.sub("", text).splitlines())
    return "\n".join(filter(None, lines))


def fill(template: str, **parts: str) -> str:
    """Return the statement with each `{{ part }}` replaced by the part of that name.

    Raise `KeyError` for a part that is missing, `AssertionError` for one that it does not name.
    """
    unused = parts.keys() - set(PART.findall(template))
    assert not unused, f"the statement does not use {', '.join(sorted(unused))}"
    return PART.sub(lambda match: parts[match[1]], template)
