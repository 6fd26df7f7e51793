"""Decide whether a worker is eligible for a requirement: the conditions that all statements share.

They are SQL over the aliases `r` (a requirement), `p` (a pool), `m` (a membership of that pool) and
the parameter `at`. A trigger keeps in the membership what they need of the worker: see
apps/pools/triggers/.

- A worker *fits* when it meets what the requirement asks for.
- It is *eligible* when it fits, has free capacity, and its pool's limit of offers is not reached.

Each has its part in the statements of eligible_workers.py, parked_requirements.py and explain.py.
"""

POOL_IS_ALLOWED = """
p.organisation_id = r.organisation_id AND p.status = 'active'
AND (r.pool_ids IS NULL OR p.id = ANY (r.pool_ids))
"""

HAS_ABILITIES = "m.abilities @> r.abilities"
"""Skills, their levels and languages are words of one array: see tasks/requirements.py."""

HAS_CERTIFICATIONS = """
(r.certifications = '{}' OR NOT EXISTS (
    SELECT FROM unnest(r.certifications) AS required (code) WHERE NOT EXISTS (
        SELECT FROM pools_certification c WHERE c.worker_id = m.worker_id
            AND c.code = required.code AND (c.expires_at IS NULL OR c.expires_at > %(at)s))))
"""
HAS_TRUST_LEVEL = "m.trust_level >= r.trust_level"
HAS_RATING = "m.rating >= r.min_rating"

FITS = f"{HAS_ABILITIES} AND {HAS_TRUST_LEVEL} AND {HAS_RATING} AND {HAS_CERTIFICATIONS}"

# `phone:3` is the skill `phone` from level 3 on, `@fr` a language.
UNFIT = f"""
WHEN NOT {HAS_ABILITIES} THEN CASE
    WHEN NOT m.abilities @> ARRAY(
        SELECT split_part(word, ':', 1)::varchar FROM unnest(r.abilities) AS word
        WHERE word NOT LIKE '@%%') THEN 'skills'
    WHEN NOT m.abilities @> ARRAY(
        SELECT word FROM unnest(r.abilities) AS word WHERE word NOT LIKE '@%%') THEN 'skill_levels'
    ELSE 'languages' END
WHEN NOT {HAS_CERTIFICATIONS} THEN 'certifications'
WHEN NOT {HAS_TRUST_LEVEL} THEN 'trust_level'
WHEN NOT {HAS_RATING} THEN 'rating'
"""
"""The first branches of a CASE: the rule by which a worker does not fit."""

UNITS = "coalesce((p.costs ->> r.task_type)::int, 1)"
"""Units of a worker's capacity that a task of the requirement's type takes: `p.units` below."""

HAS_CAPACITY = "(m.free > 0 AND m.free >= p.units)"
"""`free` is 0 while the worker is not available, outside its working hours or snoozed."""

OFFERS_IN_WINDOW = """
(SELECT count(*) FROM (
    SELECT FROM matching_offer o WHERE o.worker_id = m.worker_id
        AND o.offered_at > %(at)s - make_interval(secs => p.offer_window_seconds)
    LIMIT p.offers_per_window) made)
"""
"""Offers made to the worker in the pool's window; counting ends at the limit."""

IS_BELOW_OFFER_LIMIT = f"(p.offers_per_window IS NULL OR p.offers_per_window > {OFFERS_IN_WINDOW})"

WINDOW_ENDS_AT = """
(SELECT o.offered_at + make_interval(secs => p.offer_window_seconds)
 FROM matching_offer o WHERE o.worker_id = m.worker_id
 ORDER BY o.offered_at DESC OFFSET p.offers_per_window - 1 LIMIT 1)
"""
"""When a worker at its pool's limit of offers may be offered another task."""
