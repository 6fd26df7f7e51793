"""Define the bodies of operators' calls on runs."""

from typing import Annotated, Any

from pydantic import Field

from apps.api.operations.requests import (
    MAX_PAYLOAD_BYTES,
    MAX_RESULT_BYTES,
    Body,
    Name,
    check_no_token,
    check_payload,
)
from apps.api.operations.task_requests import Key


class ClaimRunBody(Body):
    """The key of a call by an agent, which must send one."""

    idempotency_key: Key = ""


class StartRunBody(Body):
    """The key of a call by an agent, which must send one."""

    idempotency_key: Key = ""


class AttachSessionBody(Body):
    """The session that is to work on the run."""

    session_id: Annotated[Name, Field(min_length=1, max_length=200)]


class CompleteRunBody(Body):
    """What was made of the task."""

    result: Any = None

    def check(self) -> None:
        """Raise `InvalidInput` for a claim token in the result, `TooLarge` for more than 64 KiB."""
        check_payload(self.result, name="result", limit=MAX_RESULT_BYTES)
        check_no_token(self.result, name="result")


class FailRunBody(Body):
    """Why the run did not succeed."""

    error: Annotated[Name, Field(min_length=1, max_length=4096)]
    metadata: Any = None

    def check(self) -> None:
        """Raise `InvalidInput` for a claim token in the metadata, `TooLarge` for over 64 KiB."""
        check_payload(self.metadata, name="metadata", limit=MAX_PAYLOAD_BYTES)
        check_no_token(self.metadata, name="metadata")
