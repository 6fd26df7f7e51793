"""Define every error that BioLayer raises on purpose. Each API maps them to HTTP statuses.

BioLayerError
├── InvalidInput               the contract or a parameter is invalid: `faults` lists every fault
│   └── MalformedJSON          the body is not JSON
├── Refused                    the credential does not allow the call
│   ├── Unauthenticated        no valid credential
│   ├── ScopeMissing
│   ├── RoleTooLow
│   ├── PoolNotGranted         the credential is limited to other pools
│   ├── GrantExceeded          a credential cannot give another one more than it has itself
│   ├── NotTheOwner            only the credential that made the object, or a manager, may change it
│   ├── AddressNotAllowed
│   ├── SecondFactorRequired   the organisation requires one, and the person has none
│   ├── WrongAddress           the invitation is for another e-mail address
│   └── OrganisationMismatch
├── NotFound                   it does not exist, or the credential may not see it
├── Conflict                   its state does not allow the call
│   ├── IllegalTransition      not in the transition table: `task_status`, `allowed_commands`
│   ├── TaskPurged             its content was deleted at the end of its retention
│   ├── TaskGated              a gate holds the task at `created`
│   ├── LeaseLost              a late call on a run, which another worker may hold by now
│   ├── RunSubmitted           the run has another output already
│   ├── DraftChanged           another revision of the draft is stored: `draft`
│   ├── OfferClosed
│   ├── OfferExpired
│   ├── AttemptsExhausted
│   ├── RequestIdReused        the natural key was used with another body
│   ├── SigningKeyInUse        the current key: rotate it before it can be expired
│   ├── TooManySigningKeys
│   ├── TooManyEndpoints
│   ├── TooManyConsumers
│   ├── TooManyOAuthApplications
│   ├── SecretNotUsed          a public client of OAuth 2.0 has no secret
│   ├── ConsumerNameTaken      by a consumer that the credential may not see
│   ├── EndpointNotEnabled     paused or disabled
│   ├── PoolClosed
│   ├── LastAdmin              an organisation keeps one admin
│   ├── AlreadyMember
│   ├── InvitationOpen         the address has an open invitation: `invitation_id`
│   ├── InvitationClosed       it was accepted or revoked
│   ├── WorkerIsLinked         the worker is another member
│   ├── KeyEnded               the API key has expired or was revoked
│   ├── KeyRotating            two secrets of the API key are in use already: `ends_at`
│   ├── ClaimDecided           the claim of a certification was confirmed or rejected
│   ├── WorkerHasHistory       offers or runs refer to the worker, so it cannot be deleted
│   └── IdempotencyInFlight
├── IdempotencyKeyReused       the key was used with another body
├── TooLarge
├── ContentDeleted             its retention ended; what is known of it remains
├── RangeNotSatisfiable        the file ends before the range begins
├── UnsupportedMedia
│   └── UnsupportedEncoding    the body is compressed
├── RateLimited                too many calls: `retry_after`
├── Unavailable                a resource that the call needs is busy: retry it
└── SignatureInvalid           the webhook is not authentic
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """Describe a fault of a document: a JSON Pointer (RFC 6901), a stable code, and a text."""

    pointer: str
    code: str
    detail: str


def pointer(*parts: str | int) -> str:
    """Return the JSON Pointer (RFC 6901) of a path into a document; "" for the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class BioLayerError(Exception):
    """Carry a stable `code` for programs, and a sentence for people as `str(error)`."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return further members of the problem document, by name."""
        return {}


class InvalidInput(BioLayerError):
    code = "invalid_input"
    title = "The request does not satisfy its contract"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        super().__init__(
            f"{count} problem{'s' if count != 1 else ''} in the request; see `errors`."
        )


class MalformedJSON(BioLayerError):
    code = "malformed_json"
    title = "The body is not valid JSON"


class Refused(BioLayerError):
    code = "forbidden"
    title = "Not allowed"


class Unauthenticated(Refused):
    code = "unauthenticated"
    title = "Authentication is required"


class ScopeMissing(Refused):
    code = "scope_missing"
    title = "The credential lacks a scope"

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"This call needs the scope `{scope}`.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"scope": self.scope, "missing": {"scope": self.scope}}


class RoleTooLow(Refused):
    code = "role_too_low"
    title = "The credential's role does not allow this"

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(f"This call needs the role `{role}` or a higher one.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"role": self.role, "missing": {"role": self.role}}


EVERY_POOL = "every"
"""In `missing`, instead of the ids of pools: a credential that is not restricted to pools."""


class PoolNotGranted(Refused):
    code = "pool_not_granted"
    title = "The credential does not include these pools"

    def __init__(self, text: str, *, missing: str | Sequence[str]) -> None:
        self.missing = missing if isinstance(missing, str) else list(missing)
        super().__init__(text)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"missing": {"pool_ids": self.missing}}


class GrantExceeded(Refused):
    code = "grant_exceeded"
    title = "The credential does not have what it would give"

    def __init__(self, missing: Mapping[str, Any]) -> None:
        self.missing = dict(missing)
        super().__init__(
            f"This credential does not have itself: {', '.join(self.missing)}; see `missing`."
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"missing": self.missing}


class NotTheOwner(Refused):
    code = "not_the_owner"
    title = "This belongs to another credential"


class AddressNotAllowed(Refused):
    code = "address_not_allowed"
    title = "Calls from this address are not allowed"

    def __init__(self, address: str, *, of: str) -> None:
        self.address = address
        self.of = of
        super().__init__(f"The list of this {of} does not contain the address {address}.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"missing": {"network": self.address, "list": self.of}}


class SecondFactorRequired(Refused):
    code = "second_factor_required"
    title = "A second factor is required"


class WrongAddress(Refused):
    code = "wrong_address"
    title = "The invitation is for another address"


class OrganisationMismatch(Refused):
    code = "organisation_mismatch"
    title = "The credential belongs to another organisation"


class NotFound(BioLayerError):
    code = "not_found"
    title = "Not found"

    def __init__(self, noun: str) -> None:
        super().__init__(f"No such {noun}.")


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
        super().__init__("Offers or runs refer to this worker. Remove it from its pools instead.")


class IdempotencyInFlight(Conflict):
    code = "idempotency_in_flight"
    title = "The first request with this Idempotency-Key is still in progress"


class IdempotencyKeyReused(BioLayerError):
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used for another request"


class TooLarge(BioLayerError):
    code = "too_large"
    title = "Too large"


class ContentDeleted(BioLayerError):
    code = "content_deleted"
    title = "The content was deleted"


class RangeNotSatisfiable(BioLayerError):
    code = "range_not_satisfiable"
    title = "The range is not satisfiable"

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"The file has {size} bytes.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"size": self.size}


class UnsupportedMedia(BioLayerError):
    code = "unsupported_media_type"
    title = "Unsupported media type"


class UnsupportedEncoding(UnsupportedMedia):
    code = "unsupported_content_encoding"
    title = "Unsupported content encoding"


class RateLimited(BioLayerError):
    code = "rate_limited"
    title = "Too many requests"

    def __init__(self, retry_after: int, policies: Sequence[str]) -> None:
        self.retry_after = retry_after
        self.policies = list(policies)
        super().__init__(f"Send the next request in {retry_after} s.")

    @property
    def facts(self) -> Mapping[str, Any]:
        # The member's name is that of draft-ietf-httpapi-ratelimit-headers-10, 5.1.
        return {"violated-policies": self.policies}


class Unavailable(BioLayerError):
    code = "unavailable"
    title = "The service is temporarily unavailable"


class SignatureInvalid(BioLayerError):
    code = "signature_invalid"
    title = "The webhook's signature is not valid"
