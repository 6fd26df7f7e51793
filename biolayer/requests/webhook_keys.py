"""Define the bodies of `/v1/webhook-keys`."""

from typing import Annotated, Literal

from pydantic import Field

from biolayer.contract import Model
from biolayer.values import INTEGRAL


class KeyRotation(Model):
    """Create a signing key. The previous key also signs for `overlap_seconds` more."""

    kind: Literal["v1", "v1a"]
    overlap_seconds: Annotated[int, Field(ge=0, le=604_800), INTEGRAL] = 86_400
