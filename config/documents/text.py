"""Write JSON into pages."""

import json
from typing import Any


def pretty(value: Any) -> str:
    """Return indented JSON, which people and diffs can read."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
