"""Read the parameters of addresses: what is none is as if it were missing."""

from uuid import UUID


def uuid_of(text: str) -> UUID | None:
    """Return the id that a parameter has; None for anything else."""
    try:
        return UUID(text)
    except ValueError:
        return None
