"""Describe the fields of offers, of `/match` and of a pool's dry run."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import FROM_PARTS, TIME

TABLE: Table = {
    # --- offers
    "offered_at": ("When the offer was made.", TIME),
    "expires_at": ("When the offer expires.", TIME),
    "why": ("How the worker was ranked: the score and its parts.", {"score": 0.91}),
    # --- GET /v1/tasks/{task_id}/match
    "queue": ("The task's position in the queue; null: it is not queued.", FROM_PARTS),
    "sort_at": ("The queue's sort key: the queueing time, moved ahead by the urgency.", TIME),
    "tasks_ahead": ("Tasks of the organisation that come first. 10,000 means that or more.", 12),
    "workers": (
        "The number of eligible workers, and the reasons why others are not.",
        FROM_PARTS,
    ),
    "eligible": ("Workers that could get an offer of the task now.", 2),
    "in_pools": ("Workers in the task's pools: the sum of `eligible` and all of `excluded`.", 9),
    "excluded": (
        "Workers that are not eligible, by the first rule that excludes them.",
        FROM_PARTS,
    ),
    "ExcludedWorkers.skills": ("Without a required skill.", 2),
    "ExcludedWorkers.skill_levels": ("Below a required skill level.", 0),
    "ExcludedWorkers.languages": ("Without a required language.", 1),
    "ExcludedWorkers.certifications": ("Without a valid required certification.", 0),
    "ExcludedWorkers.trust_level": ("Below the minimum trust level.", 0),
    "ExcludedWorkers.rating": ("Below the minimum rating.", 0),
    "ExcludedWorkers.cannot_do": (
        "Declined or released this task with a code by which it is not offered to them again.",
        0,
    ),
    "ExcludedWorkers.presence": ("Not available.", 3),
    "ExcludedWorkers.working_hours": ("Outside their working hours.", 0),
    "ExcludedWorkers.snoozed": ("Snoozed.", 0),
    "ExcludedWorkers.capacity": ("Without enough free capacity.", 1),
    "ExcludedWorkers.offer_limit": ("At the pool's limit of offers in a window.", 0),
    "ExcludedWorkers.asked_already": (
        "Already had an offer of this task, while other workers have not.",
        0,
    ),
    "abilities": (
        "Required skills and languages. `phone:3`: level 3 or higher; `@en`: a language.",
        ["phone_verification", "@en"],
    ),
    "preferred": ("Skills whose holders get offers first.", ["german_law"]),
    "offers": ("Open offers of the task.", FROM_PARTS),
    "past_offers": ("The number of earlier offers, by how they ended.", {"declined": 1}),
    "taken": ("The offer that was accepted.", FROM_PARTS),
    "Match.escalation": ("The progress of the escalation policy; null: no policy.", FROM_PARTS),
    "MatchEscalation.steps": ("The number of steps in the policy.", 2),
    "steps_taken": ("The number of steps that were taken.", 1),
    "next": (
        "What has to happen for the task to progress.",
        "It is offered as soon as its turn comes.",
    ),
    "next_at": ("When the next timed change is due; null: none is known.", TIME),
    # --- POST /v1/pools/{pool_id}/dry-run
    "before": ("The outcome with the present policies.", FROM_PARTS),
    "ChangedFate.before": ("The task's outcome with the present policies.", "waits"),
    "after": ("The outcome with the change.", FROM_PARTS),
    "ChangedFate.after": ("The task's outcome with the change.", "offered"),
    "changed": ("The first 50 tasks whose outcome would differ.", FROM_PARTS),
    "offered": ("Tasks that would be offered immediately.", 4),
    "waits": ("Tasks that would continue to wait.", 8),
    "fails": ("Tasks that the end of the escalation policy would fail.", 0),
    "workers_asked": ("Workers that would get an offer immediately.", 3),
    "tasks_waiting": ("The number of tasks that wait for the pool.", 12),
    "tasks_looked_at": ("How many of them were evaluated: the first in the queue.", 12),
}
