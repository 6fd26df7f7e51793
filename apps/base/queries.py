"""Load the long SQL statements of an app from its `queries/` folder."""

from importlib.resources import files


def load_query(package: str, name: str) -> str:
    """Return the statement in `<package>/queries/<name>.sql`, without its comment lines.

    Called at import. psycopg keeps no conversion of statements longer than 4 KB, so that comments
    would cost each execution time.
    """
    text = files(package).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    lines = text.strip().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))
