"""Give every template what the frame of a page shows."""

from typing import Any

from django.http import HttpRequest

from apps.accounts.scopes import Scope, scopes_of_role


def page(request: HttpRequest) -> dict[str, Any]:
    """Return the present member, None without one, and whether it sees the reviewer's inbox."""
    member = getattr(request, "member", None)
    may_review = member is not None and Scope.TASKS_REVIEW.value in scopes_of_role(member.role)
    return {"member": member, "may_review": may_review}
