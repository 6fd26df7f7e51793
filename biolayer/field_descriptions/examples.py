"""Example values that several descriptions share."""

from typing import Any

UUID = "019abf3c-7d2e-7a10-9c55-2f6a1b0c8d41"
POOL = "019abf30-52c1-7b1e-8a44-9d0f6c3e7a12"
WORKER = "019abf31-0a6f-7c22-b1f0-4e8d2a9c5b63"
TIME = "2026-02-04T19:21:00.000000Z"
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
WEBHOOK_BODY = {"type": "task.completed", "timestamp": TIME, "data": {"task_id": UUID}}
ESCALATION = {"steps": [{"after_seconds": 300, "notify": True}], "at_end": "wait"}

FROM_PARTS: Any = object()
"""Marks an object whose example is assembled from the examples of its fields."""
