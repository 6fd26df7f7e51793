"""Register sessions, claim tasks for them, and work on what they hold."""

from apps.agents.services.claims import (
    Claim,
    ClaimRequest,
    Looked,
    claim_next,
    look_again,
    wait_for_next,
)
from apps.agents.services.forcing import (
    Order,
    Outcomes,
    Repeated,
    force_fail,
    force_fail_many,
    force_release,
    force_release_many,
    recover_run,
    require_may_force,
    retry_run,
)
from apps.agents.services.leases import (
    Lease,
    complete_claim,
    fail_claim,
    heartbeat_claim,
    release_claim,
)
from apps.agents.services.operator_runs import (
    attach_session,
    cancel_run,
    claim_run,
    complete_run,
    fail_run,
    start_run,
)
from apps.agents.services.purging import (
    purge_claims,
)
from apps.agents.services.run_log import session_caller
from apps.agents.services.run_reviews import (
    find_stranded_reviews,
    move_reviews,
    request_review,
    submit_verdict,
)
from apps.agents.services.sessions import (
    NewSession,
    heartbeat_session,
    note_call,
    register_session,
    stop_session,
    stop_silent_sessions,
)

__all__ = [
    "Claim",
    "ClaimRequest",
    "Lease",
    "Looked",
    "NewSession",
    "Order",
    "Outcomes",
    "Repeated",
    "attach_session",
    "cancel_run",
    "claim_next",
    "claim_run",
    "complete_claim",
    "complete_run",
    "fail_claim",
    "fail_run",
    "find_stranded_reviews",
    "force_fail",
    "force_fail_many",
    "force_release",
    "force_release_many",
    "heartbeat_claim",
    "heartbeat_session",
    "look_again",
    "move_reviews",
    "note_call",
    "purge_claims",
    "recover_run",
    "register_session",
    "release_claim",
    "request_review",
    "require_may_force",
    "retry_run",
    "session_caller",
    "start_run",
    "stop_session",
    "stop_silent_sessions",
    "submit_verdict",
    "wait_for_next",
]
