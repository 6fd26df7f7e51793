"""Define the operational events, about webhook endpoints and deliveries."""

from typing import Literal

from pydantic import Field

from biolayer.events.envelope import Envelope, MarkedFacts
from biolayer.values import Identifier, Moment


class EndpointFacts(MarkedFacts):
    endpoint_id: Identifier
    url: str
    failed_attempts: int = Field(ge=0, description="Consecutive failures.")


class FailingFacts(EndpointFacts):
    failing_since: Moment = Field(description="The first of the consecutive failures.")
    hours: Literal[1, 24, 72] = Field(description="How long the endpoint has been failing.")
    last_error: str


class DisabledFacts(EndpointFacts):
    reason: Literal["failing", "gone"] = Field(
        description="`failing`: no success for days; `gone`: it returned 410."
    )
    failing_since: Moment | None = Field(description="Null if the 410 was the first failure.")


class DeliveryFacts(MarkedFacts):
    delivery_id: Identifier
    endpoint_id: Identifier | None = Field(description="Null: the task's callback.")
    task_id: Identifier
    event_type: str
    sequence: int = Field(
        ge=1, description="The `sequence` of the task's event that was delivered."
    )
    attempts: int = Field(ge=1, description="The number of attempts so far.")
    last_error: str | None


class EndpointFailing(Envelope):
    """Sent when every attempt to an endpoint has failed for 1, 24 or 72 hours, once for each.
    Events are kept and retried. Repair the receiver: after five days of failures the endpoint is
    disabled.
    """

    type: Literal["endpoint.failing"]
    data: FailingFacts


class EndpointDisabled(Envelope):
    """Sent when an endpoint is disabled because it failed for five days or returned 410. Its events
    are held for 30 days. Repair the receiver and enable the endpoint to get the held events.
    """

    type: Literal["endpoint.disabled"]
    data: DisabledFacts


class DeliveryExhausted(Envelope):
    """Sent when every attempt of a delivery has failed and no retry is left. When the receiver
    works again, resend the delivery, or start a recovery of all that failed since a time.
    """

    type: Literal["delivery.exhausted"]
    data: DeliveryFacts


class DeliveryRecovered(Envelope):
    """Sent when an exhausted delivery succeeds after a resend or a recovery."""

    type: Literal["delivery.recovered"]
    data: DeliveryFacts


class ThinEndpointFacts(MarkedFacts):
    endpoint_id: Identifier


class ThinDeliveryFacts(MarkedFacts):
    delivery_id: Identifier


class ThinEndpointEnvelope(Envelope):
    """The body of an endpoint's event for endpoints with the payload `thin`."""

    data: ThinEndpointFacts


class ThinDeliveryEnvelope(Envelope):
    """The body of a delivery's event for endpoints with the payload `thin`."""

    data: ThinDeliveryFacts
