"""Describe the fields of execution profiles."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import FROM_PARTS, TIME

MODELS = [
    "ProfileBody",
    "CoordinatorBody",
    "WorkerBody",
    "ParticipantsBody",
    "ReviewBody",
    "RuntimeBody",
    "SandboxBody",
    "ProfileCoordinator",
    "ProfileWorker",
    "ProfileParticipants",
    "ProfileReview",
    "ProfileRuntime",
    "ProfileSandbox",
    "ExecutionProfile",
    "ProfileAnswer",
]

AGENTS = ["drafter", "editor"]
CHANNELS = ["ops"]
PEERS = ["drafter.s-17"]

FIELDS: Table = {
    "task_id": ("The task; in a body it may be left out.", "task-5f1c0a9be3d24786"),
    "coordinator": ("Hints for the session that plans the work.", FROM_PARTS),
    "worker": ("Which agents may claim its runs.", FROM_PARTS),
    "participants": ("Which agents may take part; claims need them, too.", FROM_PARTS),
    "review": ("Which agents may review its runs.", FROM_PARTS),
    "runtime": ("What approvals cover.", FROM_PARTS),
    "sandbox": ("The environment that a run executes in.", FROM_PARTS),
    "created_at": ("When it was first stored.", TIME),
    "updated_at": ("When it was last replaced.", TIME),
    "profile": ("The execution profile.", FROM_PARTS),
    "agent_name": ("The one agent that is meant.", "drafter"),
    "guidance": ("How to plan the work: at most 8192 bytes.", "Ask for the order number first."),
    "model": ("The model of the session; it is passed on.", "large-1"),
    "provider": ("Whose model it is; it is passed on.", "acme"),
    "allowed_agent_names": ("Only these agents; empty: all.", AGENTS),
    "allowed_channel_ids": ("Only these channels; empty: all.", CHANNELS),
    "allowed_peer_ids": ("Only these peers; empty: all.", PEERS),
    "preferred_agent_names": ("Agents to take first.", AGENTS),
    "preferred_capabilities": ("Capabilities that are better to have.", ["french"]),
    "preferred_channel_ids": ("Channels to take first.", CHANNELS),
    "preferred_peer_ids": ("Peers to take first.", PEERS),
    "required_capabilities": ("Capabilities that one must have.", ["search"]),
    "sandbox_ref": ("The environment, if the mode is `ref`.", "python-3"),
}

TABLE: Table = {f"{model}.{name}": entry for name, entry in FIELDS.items() for model in MODELS} | {
    "CoordinatorBody.mode": ("Whether the coordinator gets this guidance.", "inherit"),
    "ProfileCoordinator.mode": ("Whether the coordinator gets this guidance.", "inherit"),
    "WorkerBody.mode": ("Whether the worker is selected by it.", "inherit"),
    "ProfileWorker.mode": ("Whether the worker is selected by it.", "inherit"),
    "SandboxBody.mode": ("Which environment it is.", "inherit"),
    "ProfileSandbox.mode": ("Which environment it is.", "inherit"),
    "RuntimeBody.mode": ("What approvals cover.", "default"),
    "ProfileRuntime.mode": ("What approvals cover.", "default"),
}
