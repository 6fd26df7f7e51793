"""Define why the state of an object does not allow a call."""

from collections.abc import Mapping, Sequence
from typing import Any

from biolayer.errors.base import BioLayerError


class Conflict(BioLayerError):
    code = "conflict"
    title = "The resource's state does not allow this"


class IllegalTransition(Conflict):
    code = "illegal_transition"

    def __init__(self, command: str, status: str, allowed: Sequence[str]) -> None:
        self.task_status = status
        self.allowed = list(allowed)
        super().__init__(f"The command `{command}` is not allowed in the status `{status}`.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"task_status": self.task_status, "allowed_commands": self.allowed}


class TaskPurged(Conflict):
    code = "task_purged"
    title = "The task's content was deleted"

    def __init__(self) -> None:
        super().__init__("Its retention has ended. Ids, times, statuses and hashes stay.")


class WorkerNotEligible(Conflict):
    code = "worker_not_eligible"
    title = "The task cannot be offered to this worker now"


class TaskGated(Conflict):
    code = "task_gated"


class LeaseLost(Conflict):
    code = "lease_lost"
    title = "You no longer hold the lease of this run"


class RunSubmitted(Conflict):
    code = "run_submitted"
    title = "The run has already been submitted"

    def __init__(
        self,
        text: str = "The run was submitted with another output or evidence. That submission is"
        " kept.",
    ) -> None:
        super().__init__(text)


class DraftChanged(Conflict):
    """Carry the stored draft, None without one, and in `shown` what the API shows of it."""

    code = "draft_changed"
    title = "Another revision of the draft is stored"

    def __init__(self, draft: Any) -> None:
        self.draft = draft
        self.shown: Any = None
        super().__init__("It was saved elsewhere meanwhile, and was not replaced; see `draft`.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"draft": self.shown}


class ReviewChanged(Conflict):
    code = "review_changed"
    title = "The review has changed since it was read"

    def __init__(self, *, version: int, status: str) -> None:
        self.version, self.review_status = version, status
        super().__init__("Nothing was decided. Read it again, and decide by what it is now.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"version": self.version, "review_status": self.review_status}


class ReviewClosed(Conflict):
    code = "review_closed"
    title = "The review has been decided"

    def __init__(self, status: str) -> None:
        self.review_status = status
        super().__init__(f"It is {status}.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"review_status": self.review_status}


class ReviewClaimed(Conflict):
    code = "review_claimed"
    title = "Another reviewer has the review"

    def __init__(self, lease_until: str) -> None:
        self.lease_until = lease_until
        super().__init__(f"It was claimed until {lease_until}, unless it is released before.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"lease_until": self.lease_until}


class ReviewNotClaimed(Conflict):
    code = "review_not_claimed"
    title = "You do not have this review"


class NotAppealable(Conflict):
    code = "not_appealable"
    title = "This verdict cannot be appealed"

    def __init__(self, text: str, *, status: str) -> None:
        self.review_status = status
        super().__init__(text)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"review_status": self.review_status}


class AppealTooLate(Conflict):
    code = "appeal_too_late"
    title = "The time for an appeal has ended"

    def __init__(self, until: str) -> None:
        self.until = until
        super().__init__(f"It could be made before {until}.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"appeal_until": self.until}


class AlreadyAppealed(Conflict):
    code = "already_appealed"
    title = "There is an appeal of this verdict"

    def __init__(self, *, appeal_id: str, status: str) -> None:
        self.appeal_id, self.appeal_status = appeal_id, status
        super().__init__(f"A verdict is appealed once. That appeal is {status}.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"appeal_id": self.appeal_id, "appeal_status": self.appeal_status}


class AppealClosed(Conflict):
    code = "appeal_closed"
    title = "The appeal has been decided"

    def __init__(self, status: str) -> None:
        self.appeal_status = status
        super().__init__(f"It is {status}.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"appeal_status": self.appeal_status}


class AppealChanged(Conflict):
    code = "appeal_changed"
    title = "The appeal has changed since it was read"

    def __init__(self, *, version: int, status: str) -> None:
        self.version, self.appeal_status = version, status
        super().__init__("Nothing was decided. Read it again, and decide by what it is now.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"version": self.version, "appeal_status": self.appeal_status}


class SecondLookClosed(Conflict):
    code = "second_look_closed"
    title = "The second look has been given"

    def __init__(self, status: str) -> None:
        self.second_look_status = status
        super().__init__(f"It is {status}.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"second_look_status": self.second_look_status}


class OfferClosed(Conflict):
    code = "offer_closed"
    title = "The offer is no longer open"


class OfferExpired(Conflict):
    code = "offer_expired"
    title = "The offer has expired"


class AttemptsExhausted(Conflict):
    code = "attempts_exhausted"
    title = "No attempt is left"


class RequestIdReused(Conflict):
    code = "request_id_reused"
    title = "This origin.request_id belongs to another task"

    def __init__(self, task_id: str | None) -> None:
        self.task_id = task_id
        super().__init__("This product and request_id were used before with another body.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"task_id": self.task_id} if self.task_id else {}


class SigningKeyInUse(Conflict):
    code = "signing_key_in_use"
    title = "The signing key is in use"

    def __init__(self) -> None:
        super().__init__("Rotate the key first. It can then be expired immediately.")


class TooManySigningKeys(Conflict):
    code = "too_many_signing_keys"
    title = "Too many active signing keys"

    def __init__(self, kind: str, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"At most {limit} keys of kind {kind} can be active. Expire an earlier one first."
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"limit": self.limit}


class BridgeInstanceIdTaken(Conflict):
    code = "bridge_instance_id_taken"
    title = "A bridge instance with this id exists"

    def __init__(self) -> None:
        super().__init__("Choose another id, or leave it out.")


class TooManyEndpoints(Conflict):
    code = "too_many_endpoints"
    title = "Too many webhook endpoints"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"An organisation can have at most {limit} endpoints. Delete one first.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"limit": self.limit}


class TooManyConsumers(Conflict):
    code = "too_many_consumers"
    title = "Too many event consumers"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"An organisation can have at most {limit} event consumers. Delete one first."
        )


class TooManyOAuthApplications(Conflict):
    code = "too_many_oauth_applications"
    title = "Too many OAuth applications"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"An organisation can have at most {limit} OAuth applications. Delete one first."
        )


class SecretNotUsed(Conflict):
    code = "secret_not_used"
    title = "A public client has no secret"

    def __init__(self) -> None:
        super().__init__("This OAuth application is public: it authenticates by PKCE alone.")


class ConsumerNameTaken(Conflict):
    code = "consumer_name_taken"
    title = "Another event consumer has this name"


class EndpointNotEnabled(Conflict):
    code = "endpoint_not_enabled"
    title = "The endpoint is not enabled"

    def __init__(self, status: str) -> None:
        self.endpoint_status = status
        super().__init__(f"The endpoint is {status}. Enable it first.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"endpoint_status": self.endpoint_status}


class PoolClosed(Conflict):
    code = "pool_closed"
    title = "The pool is closed"

    def __init__(self) -> None:
        super().__init__("A closed pool is kept for its history only. Create a new pool.")


class TeamArchived(Conflict):
    code = "team_archived"
    title = "The team is archived"

    def __init__(self) -> None:
        super().__init__("An archived team is kept for its history only. Create a new team.")


class NothingProposed(Conflict):
    code = "nothing_proposed"
    title = "No output of the task waits for approval"

    def __init__(self) -> None:
        super().__init__("It is approved or rejected while its status is `proposed`.")


class LastAdmin(Conflict):
    code = "last_admin"
    title = "The organisation would have no admin"


class AlreadyMember(Conflict):
    code = "already_member"
    title = "This person is a member already"


class InvitationOpen(Conflict):
    code = "invitation_open"
    title = "The address has an open invitation"

    def __init__(self, invitation_id: str) -> None:
        self.invitation_id = invitation_id
        super().__init__("Send it again, or revoke it first.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"invitation_id": self.invitation_id}


class InvitationClosed(Conflict):
    code = "invitation_closed"
    title = "The invitation is no longer open"


class WorkerIsLinked(Conflict):
    code = "worker_is_linked"
    title = "The worker is another member"


class KeyEnded(Conflict):
    code = "api_key_ended"
    title = "The API key has ended"

    def __init__(self, status: str) -> None:
        self.key_status = status
        super().__init__(f"The key is {status}. Create a new one.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"key_status": self.key_status}


class KeyRotating(Conflict):
    code = "api_key_rotating"
    title = "Two secrets of the API key are in use"

    def __init__(self, ends_at: str) -> None:
        self.ends_at = ends_at
        super().__init__(
            f"The earlier secret is valid until {ends_at}. Rotate the key after that, or with an"
            " overlap of 0 seconds, which ends both at once."
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"ends_at": self.ends_at}


class ClaimDecided(Conflict):
    code = "claim_decided"
    title = "The claim has been decided"


class WorkerHasHistory(Conflict):
    code = "worker_has_history"
    title = "The worker has a history"

    def __init__(self) -> None:
        super().__init__(
            "Offers, runs or reviews refer to this worker. Remove it from its pools instead."
        )


class IdempotencyInFlight(Conflict):
    code = "idempotency_in_flight"
    title = "The first request with this Idempotency-Key is still in progress"
