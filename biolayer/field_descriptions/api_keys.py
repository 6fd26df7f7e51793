"""Describe the fields of API keys."""

from biolayer.field_descriptions.entries import Table, for_models
from biolayer.field_descriptions.examples import FROM_PARTS, POOL, TIME, WORKER

KEYS = "ApiKey IssuedApiKey"
WITH_GRANT = f"{KEYS} KeyCreation"

TABLE: Table = {
    **for_models(
        KEYS, "key_id", "The ID of the key. It stays the same in rotations.", "Zk3TnQ8wLx0a"
    ),
    **for_models(WITH_GRANT, "name", "What the key is for.", "Incident backend"),
    **for_models(
        WITH_GRANT,
        "mode",
        "`live`, or `test`: the key acts in the sandbox (docs/sandbox.md).",
        "live",
    ),
    **for_models(KEYS, "status", "`active`, `expired` or `revoked`.", "active"),
    **for_models(WITH_GRANT, "scopes", "What the key may call.", ["tasks:read", "tasks:create"]),
    **for_models(WITH_GRANT, "role", "The role that the key acts with.", "editor"),
    **for_models(WITH_GRANT, "pool_ids", "Only these pools; null: all pools.", [POOL]),
    **for_models(WITH_GRANT, "worker_id", "The worker that the key acts for; null: none.", WORKER),
    **for_models(
        WITH_GRANT,
        "allowed_networks",
        "Addresses and CIDR blocks that may call with the key; empty: any.",
        ["192.0.2.0/24", "2001:db8::/32"],
    ),
    **for_models(
        KEYS,
        "created_by",
        "The kind and the ID of the credential or member that created the key; null: a command"
        " on the server did.",
        "api_key:Qm9c2LxT7vKe",
    ),
    **for_models(WITH_GRANT, "expires_at", "When the key ends; null: never.", TIME),
    **for_models(KEYS, "revoked_at", "When the key was revoked; null: it was not.", TIME),
    **for_models(
        f"{KEYS} KeySecret",
        "last_used_at",
        "The last use, to the minute; null: there was none.",
        TIME,
    ),
    **for_models(KEYS, "secrets", "The valid secrets, newest first.", FROM_PARTS),
    "Problem.missing": (
        "With 403: the scope, role, pools or network that is missing.",
        {"scope": "tasks:create"},
    ),
    "starts_with": ("How the secret begins: enough to recognise it.", "bl_live_Zk3TnQ8wLx0a"),
    "KeySecret.expires_at": (
        "When the secret ends, after a rotation or with the key; null: never.",
        TIME,
    ),
    "api_key": (
        "The secret to call with. Shown only once: an idempotent replay has none.",
        "bl_live_Zk3TnQ8wLx0a_0123456789abcdefghijklmnopqrstuvXyZ012",
    ),
    "ApiKeyRotation.overlap_seconds": (
        "Seconds that the previous secret stays valid; 0 ends all earlier ones now.",
        86400,
    ),
}
