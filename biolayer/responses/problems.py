"""Define the body of an error response (RFC 9457)."""

from typing import Any

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.responses.drafts import Draft


class ProblemFault(OpenModel):
    pointer: str = Field(description="A JSON Pointer (RFC 6901) into the request.")
    code: str
    detail: str


class Problem(OpenModel):
    """An error (RFC 9457). `code` is stable and meant for programs, `detail` for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemFault] | None = Field(
        default=None, description="With `invalid_input`: every fault of the request."
    )
    missing: dict[str, Any] | None = Field(
        default=None, description="With 403: the scope, role, pools or network that is missing."
    )
    draft: Draft | None = Field(
        default=None, description="With `draft_changed`: the stored draft; null if there is none."
    )
