"""Describe the fields of pools, members, workers and skills."""

from biolayer.field_descriptions.entries import Table, for_models
from biolayer.field_descriptions.examples import FROM_PARTS, POOL, TIME, UUID

WORKER_MODELS = "Worker WorkerCreation WorkerChange"
CERTIFICATES = "HeldCertificate HeldCertification"

POOLS: Table = {
    "pool_id": ("The ID of the pool.", POOL),
    "pool_ids": ("Only these pools; null: all pools.", [POOL]),
    "Worker.pool_ids": ("The worker's pools that the credential may see.", [POOL]),
    "WorkerCreation.pool_ids": ("The pools that the worker joins.", [POOL]),
    "name": ("The name.", "Front desk"),
    "note_id": ("The ID of the note.", UUID),
    "PoolNote.created_by": ("The credential that wrote it.", "api_key:k7Jd92LmQ0aB"),
    **for_models("PoolNote NoteCreation", "text", "The text.", "The hotline is closed today."),
    **for_models(
        "PoolNote NoteCreation",
        "expires_at",
        "Until when members are shown it; null: until they dismiss it.",
        "2030-02-04T19:36:00Z",
    ),
    "description": ("The purpose, as free text.", "Calls in the first hour"),
    "Pool.status": ("`active` or `closed`.", "active"),
    "offer_seconds": ("How long an offer stays open, by urgency.", {"critical": 30, "high": 60}),
    "work_seconds": ("The length of a person's lease.", 3600),
    "offer_mode": (
        "Whether a task is offered to one worker at a time or to several at once.",
        "sequential",
    ),
    "offers_per_window": ("The maximum of offers to one worker in a window; null: none.", 20),
    "offer_window_seconds": ("The length of that window.", 3600),
    "misses_until_away": (
        "Consecutive offers that may expire before a worker is set to `away`; null: no limit.",
        3,
    ),
    "costs": ("Capacity units by task type; 1 for types not listed.", {"verification": 2}),
    "counts": ("Members, queued tasks and open offers of the pool.", FROM_PARTS),
    "members": ("The number of workers in the pool.", 8),
    "available_members": ("Members that could get an offer now.", 3),
    "open_offers": ("The number of open offers.", 2),
    "queued_tasks": ("Queued tasks. 10,000 means that or more.", 12),
    "rating_mean": ("The mean rating of the rated members.", 4.6),
}

WORKERS: Table = {
    **for_models(f"Member {WORKER_MODELS}", "name", "The worker's name.", "Mara Lindqvist"),
    **for_models(f"Member {WORKER_MODELS}", "kind", "`human` or `agent`.", "human"),
    **for_models(WORKER_MODELS, "skills", "The worker's skills.", ["phone_verification"]),
    **for_models(
        WORKER_MODELS,
        "skill_levels",
        "The level, 1 to 5, of the worker's skills; 1 for skills not listed.",
        {"phone_verification": 3},
    ),
    **for_models(
        WORKER_MODELS,
        "languages",
        "The languages that the worker speaks, as BCP 47 tags.",
        ["en", "pt-BR"],
    ),
    **for_models(
        "Worker WorkerCreation", "certifications", "The worker's certifications.", FROM_PARTS
    ),
    "WorkerChange.certifications": (
        "The worker's certifications. Replaces the whole list.",
        FROM_PARTS,
    ),
    **for_models(WORKER_MODELS, "trust_level", "The worker's trust level, 0 to 5.", 4),
    "presence": ("The worker's presence.", "available"),
    "presence_reason": (
        "Why the presence was set: `missed_offers` or `operator`; null: the worker set it.",
        "missed_offers",
    ),
    "capacity": ("Capacity units that the worker can hold at once.", 3),
    "load": ("Capacity units in use.", 1),
    "free": ("Free capacity units.", 2),
    "rating": ("The mean of the worker's ratings, 0 to 5.", 4.8),
    "WorkerCreation.rating": ("An initial rating; null: none.", 4.8),
    "rating_count": ("The number of ratings.", 12),
    "hours": (
        "Working hours by weekday, in the worker's time zone; empty: always.",
        {"mon": [["09:00", "17:00"]]},
    ),
    "time_zone": ("A zone of the IANA time zone database.", "Europe/Berlin"),
    "is_on_shift": ("Whether the present time is within the working hours.", True),
    "snooze_seconds": ("Pause offers for this many seconds; 0 ends a pause.", 1800),
    "snoozed_until": ("When the pause of offers ends; null: offers are not paused.", TIME),
    "waiting_since": ("When the worker last submitted work, or joined.", TIME),
    "missed_in_row": ("Consecutive offers that expired without a response.", 0),
    "code": ("The code of the certification.", "soc-operator"),
    "issuer": ("The issuer of the certification.", "Contoso Audits"),
    "document_url": ("Where the document is; null: none.", "https://certificates.example/4711"),
    **for_models(CERTIFICATES, "expires_at", "When it expires; null: never.", TIME),
    "is_valid": ("Whether the certification is valid now.", True),
}

SKILLS: Table = {
    "skill": ("The skill.", "phone_verification"),
    "Skill.workers": ("The number of workers with the skill.", 8),
    "available_workers": ("Workers with the skill that could get an offer now.", 3),
}

TABLE: Table = {**POOLS, **WORKERS, **SKILLS}
