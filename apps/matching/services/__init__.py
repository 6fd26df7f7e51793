"""The verbs: finding somebody for queued tasks, and what becomes of the offers."""

from apps.matching.assignment import load_assignment
from apps.matching.escalation import ESCALATION
from apps.matching.services.closing import fail_stranded, look_for_stranded
from apps.matching.services.dry_run import dry_run
from apps.matching.services.escalating import (
    escalate,
    follow_policy,
    restore_requirements,
    set_out,
    set_out_forgotten,
)
from apps.matching.services.matching import match_queued
from apps.matching.services.offers import (
    OFFER,
    accept_offer,
    decline_offer,
    expire_offer,
    withdraw_offers,
)
from apps.matching.turns import weigh
from apps.matching.vain import forget_in_vain, look_again

__all__ = [
    "ESCALATION",
    "OFFER",
    "accept_offer",
    "decline_offer",
    "dry_run",
    "escalate",
    "expire_offer",
    "fail_stranded",
    "follow_policy",
    "forget_in_vain",
    "load_assignment",
    "look_again",
    "look_for_stranded",
    "match_queued",
    "restore_requirements",
    "set_out",
    "set_out_forgotten",
    "weigh",
    "withdraw_offers",
]
