"""Define the bodies of calls on an existing task. Its contract is `biolayer.contract`."""

from typing import Annotated

from pydantic import Field

from biolayer.contract import Model
from biolayer.values import Text


class Cancellation(Model):
    reason: Annotated[Text, Field(max_length=1000)] = ""
