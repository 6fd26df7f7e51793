"""Every error that BioLayer raises on purpose. The HTTP status of each is the API's business.

BioLayerError
├── InvalidInput               the contract or a parameter is wrong: `faults` names every place
│   └── MalformedJSON          the body is no JSON at all
├── Refused                    who you are does not allow it
│   ├── Unauthenticated        no credential, or one that does not hold
│   ├── ScopeMissing
│   ├── RoleTooLow
│   ├── PoolNotGranted         the credential is for certain pools, and this concerns others
│   ├── NotTheOwner            another credential made it: its maker or a manager may change it
│   ├── AddressNotAllowed
│   └── OrganisationMismatch
├── NotFound                   it is not there, or not yours: the answer is the same
├── Conflict                   it is there, but not in a state for that
│   ├── IllegalTransition      the law refuses the command: `task_status`, `allowed`
│   ├── TaskGated              a gate holds the task at `created`
│   ├── LeaseLost              a late call on a run that somebody else may hold by now
│   ├── RunSubmitted           the run has an output already, and this is another one
│   ├── OfferClosed
│   ├── OfferExpired
│   ├── AttemptsExhausted
│   ├── RequestIdReused        the natural key came with another body
│   ├── SigningKeyInUse        the key without end: rotate, then it has one
│   ├── TooManySigningKeys
│   ├── TooManyEndpoints
│   ├── TooManyConsumers
│   ├── ConsumerNameTaken      by a consumer that the credential does not see
│   ├── EndpointNotEnabled     paused or disabled: enable it first
│   ├── PoolClosed             kept for its history only
│   ├── WorkerHasHistory       it was offered or did something: it is not deleted
│   └── IdempotencyInFlight
├── IdempotencyKeyReused       the same key came with another body
├── TooLarge
├── UnsupportedMedia
│   └── UnsupportedEncoding    the body is compressed
├── Unavailable                something that the call needs is busy: send it again
└── SignatureInvalid           a webhook that must not be believed
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a document: where (a JSON Pointer, RFC 6901), a stable code, and words."""

    pointer: str
    code: str
    detail: str


def pointer(*parts: str | int) -> str:
    """The JSON Pointer (RFC 6901) of a path into a document; "" is the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class BioLayerError(Exception):
    """`code` is stable and meant for programs; `str(error)` is a sentence for people."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a program needs beside the code to go on."""
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
        return {"scope": self.scope}


class RoleTooLow(Refused):
    code = "role_too_low"
    title = "The credential's role does not allow that"

    def __init__(self, needed: str) -> None:
        self.needed = needed
        super().__init__(f"This call needs the role `{needed}` or a higher one.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"role": self.needed}


class PoolNotGranted(Refused):
    code = "pool_not_granted"
    title = "The credential is not for these pools"


class NotTheOwner(Refused):
    code = "not_the_owner"
    title = "This belongs to another credential"


class AddressNotAllowed(Refused):
    code = "address_not_allowed"
    title = "Calls from this address are not allowed"


class OrganisationMismatch(Refused):
    code = "organisation_mismatch"
    title = "That is another organisation"


class NotFound(BioLayerError):
    code = "not_found"
    title = "Not found"

    def __init__(self, noun: str) -> None:
        super().__init__(f"No such {noun}.")


class Conflict(BioLayerError):
    code = "conflict"
    title = "The resource is not in a state for that"


class IllegalTransition(Conflict):
    code = "illegal_transition"

    def __init__(self, command: str, status: str, allowed: Sequence[str]) -> None:
        self.task_status = status
        self.allowed = list(allowed)
        super().__init__(f"A task that is {status} cannot take the command `{command}`.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"task_status": self.task_status, "allowed_commands": self.allowed}


class TaskGated(Conflict):
    code = "task_gated"


class LeaseLost(Conflict):
    code = "lease_lost"
    title = "The lease on this run is no longer yours"


class RunSubmitted(Conflict):
    code = "run_submitted"
    title = "The run was submitted before"

    def __init__(self) -> None:
        super().__init__(
            "You submitted this run with another output or other evidence, which stays."
        )


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
        super().__init__("The product sent this request_id before, with another body.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"task_id": self.task_id} if self.task_id else {}


class SigningKeyInUse(Conflict):
    code = "signing_key_in_use"
    title = "This key signs until it is replaced"

    def __init__(self) -> None:
        super().__init__("Rotate its kind; then this key has an end and can be expired at once.")


class TooManySigningKeys(Conflict):
    code = "too_many_signing_keys"
    title = "Too many active signing keys"

    def __init__(self, kind: str, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"At most {limit} keys of kind {kind} sign at a time. Expire an earlier one first."
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"limit": self.limit}


class TooManyEndpoints(Conflict):
    code = "too_many_endpoints"
    title = "Too many webhook endpoints"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"An organisation has at most {limit} endpoints. Delete one first.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"limit": self.limit}


class TooManyConsumers(Conflict):
    code = "too_many_consumers"
    title = "The organisation has as many event consumers as it may have"

    def __init__(self, most: int) -> None:
        super().__init__(f"At most {most}; delete one that nobody reads any more.")


class ConsumerNameTaken(Conflict):
    code = "consumer_name_taken"
    title = "Another event consumer has this name"


class EndpointNotEnabled(Conflict):
    code = "endpoint_not_enabled"
    title = "Nothing is sent to this endpoint now"

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
        super().__init__("A closed pool is kept for its history. Make a new one.")


class WorkerHasHistory(Conflict):
    code = "worker_has_history"
    title = "The worker was offered tasks"

    def __init__(self) -> None:
        super().__init__("Offers and runs name this worker. Take it out of its pools instead.")


class IdempotencyInFlight(Conflict):
    code = "idempotency_in_flight"
    title = "The first request with this Idempotency-Key is still running"


class IdempotencyKeyReused(BioLayerError):
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used for another request"


class TooLarge(BioLayerError):
    code = "too_large"
    title = "Too large"


class UnsupportedMedia(BioLayerError):
    code = "unsupported_media_type"
    title = "Unsupported media type"


class UnsupportedEncoding(UnsupportedMedia):
    code = "unsupported_content_encoding"
    title = "Unsupported content encoding"


class Unavailable(BioLayerError):
    code = "unavailable"
    title = "The service is not available just now"


class SignatureInvalid(BioLayerError):
    code = "signature_invalid"
    title = "The webhook's signature does not verify"
