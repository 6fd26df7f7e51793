"""Provide parts of a contract for the tests."""

from typing import Any

NO_REQUIREMENTS: dict[str, Any] = {
    "skills": [],
    "skill_levels": {},
    "preferred_skills": [],
    "languages": [],
    "certifications": [],
    "trust_level": 0,
    "min_rating": 0,
    "worker_pool_id": None,
    "escalation": None,
}
"""The requirements of a task whose contract had none."""


def steps(count: int, **changes: Any) -> list[dict[str, Any]]:
    """Return steps of an escalation policy, a second apart."""
    return [{"after_seconds": 1 + place, "notify": True, **changes} for place in range(count)]
