"""Define why a credential does not allow a call."""

from collections.abc import Mapping, Sequence
from typing import Any

from biolayer.errors.base import BioLayerError


class Refused(BioLayerError):
    code = "forbidden"
    title = "Not allowed"


class Unauthenticated(Refused):
    code = "unauthenticated"
    title = "Authentication is required"


class ScopeMissing(Refused):
    code = "scope_missing"
    title = "The credential lacks a scope"

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"This call needs the scope `{scope}`.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"scope": self.scope, "missing": {"scope": self.scope}}


class RoleTooLow(Refused):
    code = "role_too_low"
    title = "The credential's role does not allow this"

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(f"This call needs the role `{role}` or a higher one.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"role": self.role, "missing": {"role": self.role}}


class OwnWork(Refused):
    code = "own_work"
    title = "Another person must review this"

    def __init__(self) -> None:
        super().__init__("You did this work, or a worker that you are.")


class OwnVerdict(Refused):
    code = "own_verdict"
    title = "Another person must decide on this"

    def __init__(self) -> None:
        super().__init__("You gave this verdict.")


class NotAReviewer(Refused):
    code = "not_a_reviewer"
    title = "You are not one of the reviewers"

    def __init__(self, pool_id: str) -> None:
        self.pool_id = pool_id
        super().__init__(
            "Until this review is overdue, only workers of its pool of reviewers may decide it."
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"reviewer_pool_id": self.pool_id}


EVERY_POOL = "every"
"""In `missing`, instead of the ids of pools: a credential that is not restricted to pools."""


class PoolNotGranted(Refused):
    code = "pool_not_granted"
    title = "The credential does not include these pools"

    def __init__(self, text: str, *, missing: str | Sequence[str]) -> None:
        self.missing = missing if isinstance(missing, str) else list(missing)
        super().__init__(text)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"missing": {"pool_ids": self.missing}}


class GrantExceeded(Refused):
    code = "grant_exceeded"
    title = "The credential does not have what it would give"

    def __init__(self, missing: Mapping[str, Any]) -> None:
        self.missing = dict(missing)
        super().__init__(
            f"This credential does not have itself: {', '.join(self.missing)}; see `missing`."
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"missing": self.missing}


class NotTheOwner(Refused):
    code = "not_the_owner"
    title = "This belongs to another credential"


class AddressNotAllowed(Refused):
    code = "address_not_allowed"
    title = "Calls from this address are not allowed"

    def __init__(self, address: str, *, of: str) -> None:
        self.address = address
        self.of = of
        super().__init__(f"The list of this {of} does not contain the address {address}.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"missing": {"network": self.address, "list": self.of}}


class SecondFactorRequired(Refused):
    code = "second_factor_required"
    title = "A second factor is required"


class WrongAddress(Refused):
    code = "wrong_address"
    title = "The invitation is for another address"


class OrganisationMismatch(Refused):
    code = "organisation_mismatch"
    title = "The credential belongs to another organisation"
