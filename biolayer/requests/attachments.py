"""Define the bounds of attachments."""

MAX_ATTACHMENTS_PER_TASK = 20
