"""Define the bodies of calls on an existing task. Its contract is `biolayer.contract`."""

from typing import Annotated

from pydantic import Field

from biolayer.contract import Model
from biolayer.values import Text, Words


class Cancellation(Model):
    reason: Annotated[Text, Field(max_length=1000)] = ""


class NewMessage(Model):
    text: Annotated[Words, Field(min_length=1, max_length=4000)]
