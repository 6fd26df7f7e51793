"""Name the states of webhooks, and what each event means, as pages show them."""

from django.utils.translation import gettext_lazy as _

# The class of a state's mark: see console.css.
DELIVERY_STATUS_TEXTS = {
    "pending": _("Pending"),
    "held": _("Held"),
    "succeeded": _("Succeeded"),
    "exhausted": _("Given up"),
    "expired": _("Expired"),
}
DELIVERY_MARKS = {
    "pending": "offered",
    "held": "off",
    "succeeded": "good",
    "exhausted": "bad",
    "expired": "off",
}
ENDPOINT_STATUS_TEXTS = {
    "enabled": _("Enabled"),
    "paused": _("Paused"),
    "disabled": _("Disabled"),
}
ENDPOINT_MARKS = {"enabled": "good", "paused": "off", "disabled": "bad"}
DISABLED_TEXTS = {
    "gone": _("The receiver answered 410 Gone."),
    "failing": _("Nothing was delivered for five days."),
}
BREAKER_TEXTS = {
    "closed": _("Closed: it is sent to"),
    "open": _("Open: nothing is sent"),
    "probing": _("Probing: one attempt is made"),
}
BREAKER_MARKS = {"closed": "good", "open": "bad", "probing": "soon"}
WAIT_TEXTS = {
    "new": _("It is due at once."),
    "retry": _("The last attempt failed; it is tried again."),
    "retry_after": _("The receiver asked to wait by Retry-After."),
    "order": _("The event before it, of the same task, is not delivered yet."),
    "resent": _("It was sent again and waits for its place."),
    "under_way": _("It is being sent now."),
    "breaker": _("The host failed too often: its breaker is open."),
    "receiver_asked": _("The host asked to wait by Retry-After."),
    "rate_limit": _("The rate limit of the host is reached."),
    "endpoint_paused": _("The endpoint is paused."),
    "endpoint_disabled": _("The endpoint is disabled."),
}
OUTCOME_TEXTS = {
    "ok": _("Delivered"),
    "status": _("Refused by a status"),
    "timeout": _("Timeout"),
    "address_denied": _("Address not allowed"),
    "dns": _("Name not found"),
    "tls": _("TLS failed"),
    "connection": _("No connection"),
    "invalid": _("Request cannot be made"),
    "unreadable": _("Secrets cannot be decrypted"),
    "aborted": _("Ended by a restart"),
}
PHASE_TEXTS = {
    "dns": _("while looking up the name"),
    "connect": _("while connecting"),
    "tls": _("during the TLS handshake"),
    "request": _("while sending the request"),
    "headers": _("while waiting for the answer"),
    "body": _("while reading the answer"),
}
RECOVERY_KIND_TEXTS = {
    "failed": _("Failed"),
    "missed": _("Missed"),
    "held": _("Held"),
}
RECOVERY_STATE_TEXTS = {
    "releasing": _("Being queued"),
    "delivering": _("Being delivered"),
    "done": _("Done"),
}
RECOVERY_MARKS = {"releasing": "offered", "delivering": "started", "done": "good"}
KEY_STATUS_TEXTS = {
    "current": _("Signs"),
    "expiring": _("Signs until its end"),
    "expired": _("Ended"),
}
KEY_MARKS = {"current": "good", "expiring": "soon", "expired": "off"}
PATTERN_TEXTS = {
    "*": _("Every event of a task"),
    "task.*": _("Every event of a task"),
    "endpoint.*": _("Every event about endpoints"),
    "delivery.*": _("Every event about deliveries"),
    "task.created": _("The task was accepted from its product."),
    "task.queued": _("It waits for a worker."),
    "task.matched": _("A worker was chosen."),
    "task.offered": _("It was offered to the worker."),
    "task.accepted": _("A worker accepted it."),
    "task.started": _("The worker began."),
    "task.submitted": _("The worker handed in an output."),
    "task.verified": _("The output passed its checks."),
    "task.completed": _("It is done; the event has the output."),
    "task.failed": _("It ended without an output."),
    "task.cancelled": _("It was cancelled."),
    "task.sla_breached": _("A deadline or latency target was missed."),
    "task.sla_at_risk": _("80 % of an SLA clock has passed. Only by its name."),
    "task.escalated": _("An escalation step applied. Only by its name."),
    "task.message": _("A message was written. Only by its name."),
    "task.updated": _("An operator changed it. Only by its name."),
    "task.held": _("It waits for a claim again. Only by its name."),
    "review.requested": _("A reviewer has to look at an output. Only by its name."),
    "review.decided": _("An output was reviewed. Only by its name."),
    "review.overdue": _("A review was not done in time. Only by its name."),
    "appeal.opened": _("A worker appealed a verdict. Only by its name."),
    "appeal.decided": _("An appeal was decided. Only by its name."),
    "endpoint.failing": _("An endpoint has been failing for some time."),
    "endpoint.disabled": _("An endpoint was disabled."),
    "delivery.exhausted": _("A delivery was given up."),
    "delivery.recovered": _("A delivery that was given up has arrived."),
}
