"""Load SQL statements from the `queries/` folder of an app."""

import re
from importlib.resources import files

COMMENT = re.compile(r"--.*")
PART = re.compile(r"\{\{ (\w+) \}\}")


def load_query(package: str, name: str, **parts: str) -> str:
    """Return the statement in `queries/<name>.sql` of a package such as `apps.matching`.

    Each `{{ part }}` is replaced by the part of that name. Comments and indentation are left out:
    psycopg would read a `%` in a comment as a placeholder, and caches no statement of over 4 KB. So
    no string in a statement may contain `--`. Call this at import. Raise `KeyError` for a part that
    is missing, `AssertionError` for one that the statement does not name.
    """
    text = files(package).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    lines = (line.strip() for line in COMMENT.sub("", text).splitlines())
    statement = "\n".join(filter(None, lines))
    unused = parts.keys() - set(PART.findall(statement))
    assert not unused, f"{name}.sql does not use {', '.join(sorted(unused))}"
    return PART.sub(lambda match: parts[match[1]], statement)
