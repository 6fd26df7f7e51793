"""Describe each field of the API, with an example, for the generated documents.

Most fields mean the same in every model, so a description is found by the field's name. An entry
`Model.field` overrides it for one model. A description on the field itself takes precedence over
both. A test checks that every field has one.
"""

from collections.abc import Mapping

from biolayer.field_descriptions import (
    agents,
    api_keys,
    audit,
    bridges,
    certification_claims,
    events,
    exports,
    legal_holds,
    matching,
    oauth,
    operations,
    operations_observe,
    operations_profiles,
    operations_reads,
    operations_reviews,
    operations_runs,
    operations_scheduler,
    organisations,
    pools,
    reviews,
    tasks,
    teams,
    webhooks,
)
from biolayer.field_descriptions.entries import Description
from biolayer.field_descriptions.examples import FROM_PARTS, POOL, TIME, UUID, WORKER

__all__ = ["DESCRIPTIONS", "FROM_PARTS", "POOL", "TIME", "UUID", "WORKER", "description_of"]

DESCRIPTIONS: Mapping[str, Description] = {
    **tasks.TABLE,
    **matching.TABLE,
    **events.TABLE,
    **pools.TABLE,
    **webhooks.TABLE,
    **bridges.TABLE,
    **organisations.TABLE,
    **api_keys.TABLE,
    **oauth.TABLE,
    **audit.TABLE,
    **legal_holds.TABLE,
    **certification_claims.TABLE,
    **exports.TABLE,
    **reviews.TABLE,
    **teams.TABLE,
    **agents.TABLE,
    **operations.TABLE,
    **operations_profiles.TABLE,
    **operations_runs.TABLE,
    **operations_reads.TABLE,
    **operations_reviews.TABLE,
    **operations_scheduler.TABLE,
    **operations_observe.TABLE,
}


def description_of(model: str, field: str) -> Description | None:
    """Return the description and the example of a model's field; None where there is none."""
    return DESCRIPTIONS.get(f"{model}.{field}") or DESCRIPTIONS.get(field)
