"""The type of a table of descriptions, and a helper that fills it."""

from typing import Any

Description = tuple[str, Any]
"""The text of a field's description, and an example value."""

Table = dict[str, Description]
"""By `field`, or by `Model.field` where a model gives the name another meaning."""


def for_models(models: str, field: str, text: str, example: Any) -> Table:
    """Return one entry for `field` in each of `models`, which are separated by spaces."""
    return {f"{model}.{field}": (text, example) for model in models.split()}
