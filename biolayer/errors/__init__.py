"""Define every error that BioLayer raises on purpose. Each API maps them to HTTP statuses.

BioLayerError
├── InvalidInput               the contract or a parameter is invalid: `faults` lists every fault
│   └── MalformedJSON          the body is not JSON
├── Refused                    the credential does not allow the call
│   ├── Unauthenticated        no valid credential
│   │   ├── IdentityRequired   no session, or no agent's name
│   │   ├── IdentityStale      the session is unknown or has ended
│   │   └── IdentityMismatch   the agent's name is not the session's
│   ├── ScopeMissing
│   ├── RoleTooLow
│   ├── PoolNotGranted         the credential is limited to other pools
│   ├── GrantExceeded          a credential cannot give another one more than it has itself
│   ├── NotTheOwner            only the credential that made the object, or a manager, may change it
│   ├── AddressNotAllowed
│   ├── SecondFactorRequired   the organisation requires one, and the person has none
│   ├── OwnWork                a reviewer did the work that is to be reviewed
│   ├── OwnVerdict             a manager gave the verdict that was appealed
│   ├── NotAReviewer           the review is for the workers of a pool: `reviewer_pool_id`
│   ├── IdentityUnauthorized   the session is not for this credential or workspace
│   ├── NotTheReviewer         the review of a run is bound to another session
│   ├── OwnedByAnother         the task's owner is a pool or another session
│   ├── ForceForbidden         agents may not force operations
│   ├── ForeignRun             the session holds another run
│   ├── WrongAddress           the invitation is for another e-mail address
│   └── OrganisationMismatch
├── InvalidHeader              one that the call requires is missing, or no UUID
├── NotFound                   it does not exist, or the credential may not see it
├── Conflict                   its state does not allow the call
│   ├── IllegalTransition      not in the transition table: `task_status`, `allowed_commands`
│   ├── TaskPurged             its content was deleted at the end of its retention
│   ├── WorkerNotEligible      an operator chose a worker that cannot get the task now
│   ├── TaskGated              a gate holds the task at `created`
│   ├── LeaseLost              a late call on a run, which another worker may hold by now
│   ├── SessionAlreadyHolds    a session claims one run at a time
│   ├── NoActiveLease          the session never claimed the run, and holds none
│   ├── SessionLeaseExpired    the session claimed the run, and does not hold it any more
│   ├── SessionEnded
│   ├── SessionIdTaken
│   ├── AgentNameTaken         it stands for another worker
│   ├── RunSubmitted           the run has another output already
│   ├── DraftChanged           another revision of the draft is stored: `draft`
│   ├── ReviewChanged          it was claimed, released or decided since it was read: `version`
│   ├── ReviewClosed           it has a verdict: `review_status`
│   ├── NotAppealable          the verdict, or its policy, allows no appeal: `review_status`
│   ├── AppealTooLate          the time for it has ended: `appeal_until`
│   ├── AlreadyAppealed        a verdict is appealed once: `appeal_id`
│   ├── AppealClosed           it has a decision: `appeal_status`
│   ├── AppealChanged          it has changed since it was read: `version`
│   ├── SecondLookClosed       it was given: `second_look_status`
│   ├── ReviewClaimed          another reviewer has it: `lease_until`
│   ├── ReviewNotClaimed       it cannot be released by a reviewer who does not have it
│   ├── OfferClosed
│   ├── OfferExpired
│   ├── AttemptsExhausted
│   ├── RequestIdReused        the natural key was used with another body
│   ├── SigningKeyInUse        the current key: rotate it before it can be expired
│   ├── TooManySigningKeys
│   ├── BridgeInstanceIdTaken
│   ├── TooManyEndpoints
│   ├── TooManyConsumers
│   ├── TooManyOAuthApplications
│   ├── SecretNotUsed          a public client of OAuth 2.0 has no secret
│   ├── ConsumerNameTaken      by a consumer that the credential may not see
│   ├── EndpointNotEnabled     paused or disabled
│   ├── PoolClosed
│   ├── TeamArchived           and its pool closed
│   ├── NothingProposed        no output of the task waits for approval
│   ├── LastAdmin              an organisation keeps one admin
│   ├── AlreadyMember
│   ├── InvitationOpen         the address has an open invitation: `invitation_id`
│   ├── InvitationClosed       it was accepted or revoked
│   ├── WorkerIsLinked         the worker is another member
│   ├── KeyEnded               the API key has expired or was revoked
│   ├── KeyRotating            two secrets of the API key are in use already: `ends_at`
│   ├── ClaimDecided           the claim of a certification was confirmed or rejected
│   ├── WorkerHasHistory       offers, runs or reviews refer to the worker: it is not deleted
│   ├── TransitionRefused      the state of a task or run of `/api` does not allow it
│   ├── OpenRunExists
│   ├── TaskIdTaken
│   ├── GraphLimit             too deep, too many children or dependencies
│   ├── DependencyCycle
│   ├── SessionNotOpened       the session executor opened none
│   ├── NotOfThisApi           another API created the task
│   ├── WrongStatus            of a run or task, for what is forced: `run_id`, `task_id`, `status`
│   │   ├── RunNotReleasable
│   │   ├── RunNotRecoverable
│   │   ├── RunStillActive
│   │   └── AlreadyTerminal
│   └── IdempotencyInFlight
├── ReasonRequired             a forced operation needs one
├── ForceRateLimited           too many forced operations: `retry_after`
├── ChainTooDeep               the run was repeated too often
├── BulkTooLarge
├── VersionChanged             `If-Match` names another version: `version`
├── VersionMissing             `If-Match` is required
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

from biolayer.errors.agents import (
    AgentNameTaken,
    ForeignRun,
    IdentityLookupUnavailable,
    IdentityMismatch,
    IdentityRequired,
    IdentityStale,
    IdentityUnauthorized,
    NoActiveLease,
    SessionAlreadyHolds,
    SessionEnded,
    SessionIdTaken,
    SessionLeaseExpired,
)
from biolayer.errors.base import (
    BioLayerError,
    Fault,
    pointer,
)
from biolayer.errors.conflicts import (
    AlreadyAppealed,
    AlreadyMember,
    AppealChanged,
    AppealClosed,
    AppealTooLate,
    AttemptsExhausted,
    BridgeInstanceIdTaken,
    ClaimDecided,
    Conflict,
    ConsumerNameTaken,
    DraftChanged,
    EndpointNotEnabled,
    IdempotencyInFlight,
    IllegalTransition,
    InvitationClosed,
    InvitationOpen,
    KeyEnded,
    KeyRotating,
    LastAdmin,
    LeaseLost,
    NotAppealable,
    NothingProposed,
    OfferClosed,
    OfferExpired,
    PoolClosed,
    RequestIdReused,
    ReviewChanged,
    ReviewClaimed,
    ReviewClosed,
    ReviewNotClaimed,
    RunSubmitted,
    SecondLookClosed,
    SecretNotUsed,
    SigningKeyInUse,
    TaskGated,
    TaskPurged,
    TeamArchived,
    TooManyConsumers,
    TooManyEndpoints,
    TooManyOAuthApplications,
    TooManySigningKeys,
    WorkerHasHistory,
    WorkerIsLinked,
    WorkerNotEligible,
)
from biolayer.errors.operations import (
    AlreadyTerminal,
    BulkTooLarge,
    ChainTooDeep,
    DependencyCycle,
    ForceForbidden,
    ForceRateLimited,
    GraphLimit,
    NotOfThisApi,
    NotTheReviewer,
    OpenRunExists,
    OwnedByAnother,
    ReasonRequired,
    RunNotRecoverable,
    RunNotReleasable,
    RunStillActive,
    SessionNotOpened,
    TaskIdTaken,
    TransitionRefused,
)
from biolayer.errors.refusals import (
    EVERY_POOL,
    AddressNotAllowed,
    GrantExceeded,
    NotAReviewer,
    NotTheOwner,
    OrganisationMismatch,
    OwnVerdict,
    OwnWork,
    PoolNotGranted,
    Refused,
    RoleTooLow,
    ScopeMissing,
    SecondFactorRequired,
    Unauthenticated,
    WrongAddress,
)
from biolayer.errors.requests import (
    ContentDeleted,
    IdempotencyKeyReused,
    InvalidHeader,
    InvalidInput,
    MalformedJSON,
    NotFound,
    RangeNotSatisfiable,
    RateLimited,
    SignatureInvalid,
    TooLarge,
    Unavailable,
    UnsupportedEncoding,
    UnsupportedMedia,
    VersionChanged,
    VersionMissing,
)

__all__ = [
    "EVERY_POOL",
    "AddressNotAllowed",
    "AgentNameTaken",
    "AlreadyAppealed",
    "AlreadyMember",
    "AlreadyTerminal",
    "AppealChanged",
    "AppealClosed",
    "AppealTooLate",
    "AttemptsExhausted",
    "BioLayerError",
    "BridgeInstanceIdTaken",
    "BulkTooLarge",
    "ChainTooDeep",
    "ClaimDecided",
    "Conflict",
    "ConsumerNameTaken",
    "ContentDeleted",
    "DependencyCycle",
    "DraftChanged",
    "EndpointNotEnabled",
    "Fault",
    "ForceForbidden",
    "ForceRateLimited",
    "ForeignRun",
    "GrantExceeded",
    "GraphLimit",
    "IdempotencyInFlight",
    "IdempotencyKeyReused",
    "IdentityLookupUnavailable",
    "IdentityMismatch",
    "IdentityRequired",
    "IdentityStale",
    "IdentityUnauthorized",
    "IllegalTransition",
    "InvalidHeader",
    "InvalidInput",
    "InvitationClosed",
    "InvitationOpen",
    "KeyEnded",
    "KeyRotating",
    "LastAdmin",
    "LeaseLost",
    "MalformedJSON",
    "NoActiveLease",
    "NotAReviewer",
    "NotAppealable",
    "NotFound",
    "NotOfThisApi",
    "NotTheOwner",
    "NotTheReviewer",
    "NothingProposed",
    "OfferClosed",
    "OfferExpired",
    "OpenRunExists",
    "OrganisationMismatch",
    "OwnVerdict",
    "OwnWork",
    "OwnedByAnother",
    "PoolClosed",
    "PoolNotGranted",
    "RangeNotSatisfiable",
    "RateLimited",
    "ReasonRequired",
    "Refused",
    "RequestIdReused",
    "ReviewChanged",
    "ReviewClaimed",
    "ReviewClosed",
    "ReviewNotClaimed",
    "RoleTooLow",
    "RunNotRecoverable",
    "RunNotReleasable",
    "RunStillActive",
    "RunSubmitted",
    "ScopeMissing",
    "SecondFactorRequired",
    "SecondLookClosed",
    "SecretNotUsed",
    "SessionAlreadyHolds",
    "SessionEnded",
    "SessionIdTaken",
    "SessionLeaseExpired",
    "SessionNotOpened",
    "SignatureInvalid",
    "SigningKeyInUse",
    "TaskGated",
    "TaskIdTaken",
    "TaskPurged",
    "TeamArchived",
    "TooLarge",
    "TooManyConsumers",
    "TooManyEndpoints",
    "TooManyOAuthApplications",
    "TooManySigningKeys",
    "TransitionRefused",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedEncoding",
    "UnsupportedMedia",
    "VersionChanged",
    "VersionMissing",
    "WorkerHasHistory",
    "WorkerIsLinked",
    "WorkerNotEligible",
    "WrongAddress",
    "pointer",
]
