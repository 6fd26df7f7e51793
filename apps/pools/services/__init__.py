"""Change pools and their members, workers, presence, capacity and ratings."""

from apps.pools.services.agents import (
    create_agent,
    enrol_agent,
    ensure_capacity,
    lock_agent,
    lower_capacity,
)
from apps.pools.services.api_keys import (
    create_api_key,
)
from apps.pools.services.capacity import (
    reserve_capacity,
)
from apps.pools.services.certification_claims import (
    ClaimDocument,
    claim_certification,
    confirm_claim,
    drop_documents_by,
    reject_claim,
    withdraw_claim,
)
from apps.pools.services.erasure import (
    erase_worker,
)
from apps.pools.services.exports import (
    export_workers,
)
from apps.pools.services.locks import (
    lock_pools,
    lock_workers_nowait,
    lock_workers_with_capacity,
)
from apps.pools.services.notes import (
    delete_note,
    dismiss_note,
    post_note,
    react_to_notes,
)
from apps.pools.services.oauth_applications import (
    create_oauth_application,
    update_oauth_application,
)
from apps.pools.services.people import (
    invite_person,
    link_worker,
    make_invited_worker,
    unlink_worker,
)
from apps.pools.services.pools import (
    TeamPolicies,
    add_member,
    close_pool,
    create_pool,
    provision_pool,
    react_to_closing,
    react_to_policy_changes,
    remove_member,
    set_team_policies,
    update_pool,
)
from apps.pools.services.presence import (
    refresh_availabilities,
    refresh_availability,
    set_presence,
    update_own_worker,
)
from apps.pools.services.ratings import (
    rate_worker,
    refresh_rating_means,
    take_rating_back,
)
from apps.pools.services.workers import (
    create_worker,
    delete_worker,
    provision_worker,
    update_worker,
)

__all__ = [
    "ClaimDocument",
    "TeamPolicies",
    "add_member",
    "claim_certification",
    "close_pool",
    "confirm_claim",
    "create_agent",
    "create_api_key",
    "create_oauth_application",
    "create_pool",
    "create_worker",
    "delete_note",
    "delete_worker",
    "dismiss_note",
    "drop_documents_by",
    "enrol_agent",
    "ensure_capacity",
    "erase_worker",
    "export_workers",
    "invite_person",
    "link_worker",
    "lock_agent",
    "lock_pools",
    "lock_workers_nowait",
    "lock_workers_with_capacity",
    "lower_capacity",
    "make_invited_worker",
    "post_note",
    "provision_pool",
    "provision_worker",
    "rate_worker",
    "react_to_closing",
    "react_to_notes",
    "react_to_policy_changes",
    "refresh_availabilities",
    "refresh_availability",
    "refresh_rating_means",
    "reject_claim",
    "remove_member",
    "reserve_capacity",
    "set_presence",
    "set_team_policies",
    "take_rating_back",
    "unlink_worker",
    "update_oauth_application",
    "update_own_worker",
    "update_pool",
    "update_worker",
    "withdraw_claim",
]
