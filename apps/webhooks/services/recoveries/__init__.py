"""Send again: one delivery, or by a recovery all that failed, was held, or was missed."""

from apps.webhooks.services.recoveries.releasing import release_recoveries
from apps.webhooks.services.recoveries.resending import resend
from apps.webhooks.services.recoveries.starting import recover_held, start_recovery

__all__ = ["recover_held", "release_recoveries", "resend", "start_recovery"]
