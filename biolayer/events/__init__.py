"""Define the events that webhooks report: each type with its model, description and example.

A body is `{"type", "timestamp", "data"}`, the form of Standard Webhooks. There are twelve events of
a task, silent ones that are sent only to receivers that name their type, and four operational ones
about endpoints and deliveries. New fields may be added at any time: the models accept fields that
they do not know, and receivers must do so too.

    event = TaskOffered.model_validate_json(body)
    event.data.expires_at
"""

from biolayer.events.appeals import AppealDecided, AppealOpened
from biolayer.events.catalogue import (
    CATALOGUE,
    EVENT_TYPES,
    EXAMPLES,
    SILENT,
    THIN_EXAMPLE,
    Kind,
    example,
)
from biolayer.events.deliveries import (
    DeliveryExhausted,
    DeliveryRecovered,
    EndpointDisabled,
    EndpointFailing,
    ThinDeliveryEnvelope,
    ThinEndpointEnvelope,
)
from biolayer.events.envelope import Envelope, ThinEnvelope
from biolayer.events.patterns import (
    KNOWN_PATTERNS,
    TASK_PATTERNS,
    expression_of,
    matches,
    pattern_problem,
    patterns_for,
)
from biolayer.events.tasks import (
    ReviewDecided,
    ReviewOverdue,
    ReviewRequested,
    TaskAccepted,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskMatched,
    TaskMessage,
    TaskOffered,
    TaskQueued,
    TaskSlaAtRisk,
    TaskSlaBreached,
    TaskStarted,
    TaskSubmitted,
    TaskUpdated,
    TaskVerified,
)

__all__ = [
    "CATALOGUE",
    "EVENT_TYPES",
    "EXAMPLES",
    "KNOWN_PATTERNS",
    "SILENT",
    "TASK_PATTERNS",
    "THIN_EXAMPLE",
    "AppealDecided",
    "AppealOpened",
    "DeliveryExhausted",
    "DeliveryRecovered",
    "EndpointDisabled",
    "EndpointFailing",
    "Envelope",
    "Kind",
    "ReviewDecided",
    "ReviewOverdue",
    "ReviewRequested",
    "TaskAccepted",
    "TaskCancelled",
    "TaskCompleted",
    "TaskCreated",
    "TaskFailed",
    "TaskMatched",
    "TaskMessage",
    "TaskOffered",
    "TaskQueued",
    "TaskSlaAtRisk",
    "TaskSlaBreached",
    "TaskStarted",
    "TaskSubmitted",
    "TaskUpdated",
    "TaskVerified",
    "ThinDeliveryEnvelope",
    "ThinEndpointEnvelope",
    "ThinEnvelope",
    "example",
    "expression_of",
    "matches",
    "pattern_problem",
    "patterns_for",
]
