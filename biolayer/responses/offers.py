"""Define the responses about offers."""

from typing import Literal

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.responses.tasks import Briefing
from biolayer.values import CannotDo, Identifier, Timestamp


class Offer(OpenModel):
    offer_id: Identifier
    status: Literal["open"]
    offered_at: Timestamp
    expires_at: Timestamp
    task: Briefing


class DeclinedOffer(OpenModel):
    offer_id: Identifier
    status: Literal["declined"]
    code: CannotDo | None


class OfferPage(Page):
    data: list[Offer]
