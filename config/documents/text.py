"""How JSON is written into a page: for people to read and for a diff to compare."""

import json
from typing import Any


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
