"""Say which sessions may claim a task of `/api`, as the words of its requirement.

A session offers a word for each capability, for its agent and for itself (`session_words`). A task
requires those of its run's capabilities, of the agent that its profile names, and of its owner.
Lists of allowed agents are no words, since any one of them is enough: the claim compares them.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from apps.operations.models import ExecutionProfile, TaskDetails
from apps.tasks.models import Task
from apps.tasks.requirements import UNKNOWN_ABILITY, RequirementSpec


def agent_word(name: str) -> str:
    """Return the word of an agent's name; no skill begins with `#`."""
    return f"#agent:{_digest(name)}"


def session_word(session_id: str) -> str:
    """Return the word of a session."""
    return f"#session:{_digest(session_id)}"


def capability_word(name: str) -> str:
    """Return the word of a capability, which may be longer than a skill, or begin with `#`.

    No session may offer the word of another agent or session as a capability.
    """
    return name if len(name) <= 64 and not name.startswith("#") else f"#long:{_digest(name)}"


def session_words(*, agent_name: str, session_id: str) -> list[str]:
    """Return what a session offers besides its capabilities."""
    return [agent_word(agent_name), session_word(session_id)]


def claim_requirement(
    task: Task,
    details: TaskDetails,
    profile: ExecutionProfile | None,
    *,
    required: Sequence[str],
    preferred: Sequence[str],
) -> RequirementSpec:
    """Return what a task requires of sessions, for a run with these capabilities."""
    words = {capability_word(name) for name in required}
    if profile is not None and profile.worker_agent:
        words.add(agent_word(profile.worker_agent))
    words.update(_owner_words(details))
    return RequirementSpec(
        task.organisation_id,
        task.task_type,
        None if task.pool_ids is None else tuple(sorted(task.pool_ids)),
        tuple(sorted(words)),
        tuple(sorted({capability_word(name) for name in preferred})),
    )


def _owner_words(details: TaskDetails) -> Iterable[str]:
    match details.owner_kind:
        case "":
            return ()
        case "pool":
            return (agent_word(details.owner_ref),)
        case "agent_session":
            return (session_word(details.owner_ref),)
        case _:
            # People and other systems do not claim by sessions.
            return (UNKNOWN_ABILITY,)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
