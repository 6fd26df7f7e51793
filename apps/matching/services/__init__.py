"""The verbs: finding somebody for queued tasks, and what becomes of the offers."""

from apps.matching.services.escalating import ESCALATION, escalate, set_out
from apps.matching.services.matching import look_again, match_queued
from apps.matching.services.offers import (
    OFFER,
    accept_offer,
    decline_offer,
    expire_offer,
    withdraw_offers,
)

__all__ = [
    "ESCALATION",
    "OFFER",
    "accept_offer",
    "decline_offer",
    "escalate",
    "expire_offer",
    "look_again",
    "match_queued",
    "set_out",
    "withdraw_offers",
]
