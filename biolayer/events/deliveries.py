"""The operational events: how an organisation's endpoints and deliveries fare."""

from typing import Literal

from pydantic import Field

from biolayer.events.envelope import Envelope, OpenModel
from biolayer.values import Identifier, Moment


class EndpointFacts(OpenModel):
    endpoint_id: Identifier
    url: str
    failed_attempts: int = Field(ge=0, description="In a row, without a success between them.")


class FailingFacts(EndpointFacts):
    failing_since: Moment = Field(description="The first failure of the row.")
    hours: Literal[1, 24, 72] = Field(description="Which warning this is.")
    last_error: str


class DisabledFacts(EndpointFacts):
    reason: Literal["failing", "gone"] = Field(
        description="`failing`: no success for days; `gone`: it answered 410."
    )
    failing_since: Moment | None = Field(description="Null where the 410 was the first failure.")


class DeliveryFacts(OpenModel):
    delivery_id: Identifier
    endpoint_id: Identifier | None = Field(description="Null: the callback of the task.")
    task_id: Identifier
    event_type: str
    sequence: int = Field(ge=1, description="The task's event that was delivered.")
    attempts: int = Field(ge=1, description="How often it was sent so far.")
    last_error: str | None


class EndpointFailing(Envelope):
    """An endpoint has answered nothing but failures for 1, 24 or 72 hours; it comes once for each.
    Its events are kept and tried again. Mend the receiver: after five days the endpoint is disabled.
    """

    type: Literal["endpoint.failing"]
    data: FailingFacts


class EndpointDisabled(Envelope):
    """An endpoint is sent to no more: it failed for five days, or answered 410. Its events are held
    for 30 days. Mend the receiver, enable the endpoint, and what was held is sent.
    """

    type: Literal["endpoint.disabled"]
    data: DisabledFacts


class DeliveryExhausted(Envelope):
    """Every attempt of a delivery failed and no retry is left. Resend it, or recover everything that
    failed since a time, once the receiver works again.
    """

    type: Literal["delivery.exhausted"]
    data: DeliveryFacts


class DeliveryRecovered(Envelope):
    """A delivery that was exhausted has arrived after all, by a resend or a recovery."""

    type: Literal["delivery.recovered"]
    data: DeliveryFacts


class ThinEndpointFacts(OpenModel):
    endpoint_id: Identifier


class ThinDeliveryFacts(OpenModel):
    delivery_id: Identifier


class ThinEndpointEnvelope(Envelope):
    """What an endpoint with the payload `thin` gets of an event of an endpoint."""

    data: ThinEndpointFacts


class ThinDeliveryEnvelope(Envelope):
    """What an endpoint with the payload `thin` gets of an event of a delivery."""

    data: ThinDeliveryFacts
