"""Define execution profiles as this API returns them."""

from apps.api.operations.profile_requests import (
    CoordinatorMode,
    RuntimeMode,
    SandboxMode,
    WorkerMode,
)
from apps.api.operations.responses import RequiredTime, Shape


class ProfileCoordinator(Shape):
    mode: CoordinatorMode
    agent_name: str = ""
    guidance: str = ""
    model: str = ""
    provider: str = ""


class ProfileWorker(Shape):
    mode: WorkerMode
    agent_name: str = ""
    allowed_agent_names: list[str] = []
    model: str = ""
    preferred_agent_names: list[str] = []
    preferred_capabilities: list[str] = []
    provider: str = ""
    required_capabilities: list[str] = []


class ProfileParticipants(Shape):
    allowed_agent_names: list[str] = []
    allowed_channel_ids: list[str] = []
    allowed_peer_ids: list[str] = []
    preferred_agent_names: list[str] = []
    preferred_capabilities: list[str] = []
    preferred_channel_ids: list[str] = []
    preferred_peer_ids: list[str] = []
    required_capabilities: list[str] = []


class ProfileReview(ProfileParticipants):
    agent_name: str = ""
    model: str = ""
    provider: str = ""


class ProfileRuntime(Shape):
    mode: RuntimeMode


class ProfileSandbox(Shape):
    mode: SandboxMode
    sandbox_ref: str = ""


class ExecutionProfile(Shape):
    task_id: str
    coordinator: ProfileCoordinator
    worker: ProfileWorker
    participants: ProfileParticipants
    review: ProfileReview
    runtime: ProfileRuntime
    sandbox: ProfileSandbox
    created_at: RequiredTime
    updated_at: RequiredTime


class ProfileAnswer(Shape):
    profile: ExecutionProfile
