"""Name the reasons for which a worker cannot do a task, for people."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from biolayer.values import CannotDo

REASONS: dict[str, str | Promise] = {
    CannotDo.NO_TIME.value: gettext_lazy("I have no time for it now"),
    CannotDo.MISSING_SKILL.value: gettext_lazy("It takes a skill that I lack"),
    CannotDo.NO_ACCESS.value: gettext_lazy("I have no access to what it needs"),
    CannotDo.WRONG_PLACE.value: gettext_lazy("I am not where it has to be done"),
    CannotDo.UNCLEAR.value: gettext_lazy("I do not understand what to do"),
    CannotDo.UNSAFE.value: gettext_lazy("It is not safe"),
    CannotDo.CONFLICT_OF_INTEREST.value: gettext_lazy("I have a conflict of interest"),
    CannotDo.OTHER.value: gettext_lazy("Another reason"),
}
MAX_WORDS = 1000


def given_reason(request: HttpRequest) -> dict[str, Any] | None:
    """Return the code and the reason that a form has, for a service; None without a known code."""
    code = request.POST.get("code", "")
    if code not in REASONS:
        return None
    reason = request.POST.get("reason", "").replace("\0", "").strip()[:MAX_WORDS]
    return {"code": CannotDo(code), "reason": reason}
