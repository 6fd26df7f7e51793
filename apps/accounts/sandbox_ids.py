"""Recognise what belongs to a sandbox by its id alone: no query, no column, no join.

A sandbox is an organisation of its own. Its id is that of its live organisation with version 8
instead of 7 (RFC 9562, 5.8: ids of an application's own form); PostgreSQL enforces it by checks on
`accounts_organisation`. So each row that names its organisation says whether it is live. The ids of
simulated workers have version 8, too. See docs/adr/0019-a-sandbox-is-an-organisation.md.
"""

from uuid import UUID

from apps.base.ids import VERSION_7

VERSION_8 = 0x8 << 76
VERSION_BITS = 0xF << 76


def sandbox_id(live_id: UUID) -> UUID:
    """Return the id of the sandbox of a live organisation."""
    return UUID(int=live_id.int & ~VERSION_BITS | VERSION_8)


def live_id(organisation_id: UUID) -> UUID:
    """Return the id of the live organisation of a sandbox; a live one's is returned unchanged."""
    if not is_of_sandbox(organisation_id):
        return organisation_id
    return UUID(int=organisation_id.int & ~VERSION_BITS | VERSION_7)


def is_of_sandbox(id_: UUID) -> bool:
    """Return whether this is the id of a sandbox, or of one of its simulated workers."""
    return id_.int & VERSION_BITS == VERSION_8
