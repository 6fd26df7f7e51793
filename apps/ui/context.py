"""Give every template what the frame of a page shows."""

from typing import Any

from django.http import HttpRequest


def page(request: HttpRequest) -> dict[str, Any]:
    """Return the present member and organisation; None without one."""
    return {"member": getattr(request, "member", None)}
