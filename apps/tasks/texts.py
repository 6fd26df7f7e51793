"""Name the states of tasks as pages show them."""

from django.utils.translation import gettext_lazy as _

from biolayer.lifecycle import Status

STATUS_TEXTS = {
    Status.DRAFT: _("Draft"),
    Status.CREATED: _("Created"),
    Status.QUEUED: _("Queued"),
    Status.MATCHED: _("Matched"),
    Status.OFFERED: _("Offered"),
    Status.ACCEPTED: _("Accepted"),
    Status.STARTED: _("Started"),
    Status.SUBMITTED: _("Submitted"),
    Status.VERIFIED: _("Verified"),
    Status.COMPLETED: _("Completed"),
    Status.FAILED: _("Failed"),
    Status.CANCELLED: _("Cancelled"),
}
URGENCY_TEXTS = {
    "critical": _("Critical"),
    "high": _("High"),
    "normal": _("Normal"),
    "low": _("Low"),
}
