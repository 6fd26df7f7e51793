"""Define the bodies of calls on an offer."""

from typing import Annotated

from pydantic import Field

from biolayer.contract import Model
from biolayer.values import CannotDo, Text


class Decline(Model):
    reason: Annotated[Text, Field(max_length=1000)] = ""
    code: Annotated[CannotDo, Field(strict=False)] | None = None
