"""Create many tasks at once."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError, connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base import crypto, rows
from apps.base.rows import Change
from apps.base.transactions import Raced, atomic
from apps.tasks.changes import attachment_rows, dependency_rows, requirement_row
from apps.tasks.models import Task
from apps.tasks.requirements import RequirementSpec
from apps.tasks.services.attachments import (
    attachments_of_contract,
    lock_attachments,
    require_attachments,
)
from apps.tasks.services.contract_checks import (
    contract_without_references,
    is_plain,
    named_organisation,
    reference_faults,
    usable_pools,
)
from apps.tasks.services.creating import (
    Created,
    new_requirement,
    new_task,
    sent_before,
    write,
)
from apps.tasks.services.dependencies import gate_task
from apps.tasks.services.locks import lock_dependencies
from apps.tasks.services.natural_key import Earlier, NaturalKey, earlier_tasks, natural_key
from biolayer.contract import TaskContract
from biolayer.errors import BioLayerError, Fault, InvalidInput, pointer

# Between two statements PostgreSQL waits for us, up to `idle_in_transaction_session_timeout`.
TASKS_PER_STATEMENT = 50

# The time for the forms of all contracts of a batch. A costly schema takes up to 0.4 s.
FORM_SECONDS = 5.0

Result = Created | BioLayerError

# Rows that tasks of several calls share, such as the origin of their callbacks.
SharedRows = Callable[[UUID, TaskContract], Iterable[Change]]

_shared_rows: list[SharedRows] = []


def add_shared_rows(shared_rows: SharedRows) -> None:
    """Write these rows before the tasks of a batch. Called by config/wiring.py only."""
    _shared_rows.append(shared_rows)


class Checked(NamedTuple):
    """A contract whose form is right, and the requirement that its task will have."""

    contract: TaskContract
    requirement: RequirementSpec


@dataclass(frozen=True, slots=True)
class Draft:
    """A document of a batch: its contract, or what is wrong with its form."""

    document: Any
    checked: Checked | None = None
    error: BioLayerError | None = None


def draft_tasks(*, actor: Principal, documents: Iterable[Any], at: datetime) -> list[Draft]:
    """Check the form of each document, which may be an error already. Raise `ScopeMissing`.

    Called before the transaction of `create_tasks`: this takes time, and a transaction that is idle
    meanwhile would be ended. Rows that other calls share are committed here, so that no other call
    waits for the batch.
    """
    actor.require(Scope.TASKS_CREATE)
    ends = time.monotonic() + FORM_SECONDS
    drafts = [_draft(actor, document, at, ends) for document in documents]
    if not connection.in_atomic_block:
        rows.write(_shared(actor, drafts))
    return drafts


def _draft(actor: Principal, document: Any, at: datetime, ends: float) -> Draft:
    if isinstance(document, BioLayerError):
        return Draft(document, error=document)
    if time.monotonic() > ends:
        text = "was not checked: the contracts before took too long; send it in another batch"
        return Draft(document, error=InvalidInput([Fault("", "too_complex", text)]))
    try:
        actor.require_organisation(named_organisation(document))
        contract = contract_without_references(document=document, at=at)
        return Draft(document, Checked(contract, new_requirement(actor, contract)))
    except BioLayerError as error:
        return Draft(document, error=error)


def _shared(actor: Principal, drafts: Iterable[Draft]) -> Iterable[Change]:
    """Return the rows that the drafts share with others, each once or more."""
    for draft in drafts:
        if draft.checked is not None:
            yield requirement_row(draft.checked.requirement)
            for shared_rows in _shared_rows:
                yield from shared_rows(actor.organisation_id, draft.checked.contract)


@atomic()
def create_tasks(
    *, actor: Principal, drafts: Sequence[Draft], at: datetime, all_or_nothing: bool = False
) -> list[Result]:
    """Create a task for each draft that is accepted. Return a result for each, in their order.

    With `all_or_nothing`, raise `InvalidInput` with the faults of all documents where one is
    refused: their pointers begin with the document's number. Raise `ScopeMissing`, and `Raced`
    where another call used a natural key.

    1. Pools and natural keys are read once for all documents.
    2. All dependencies are locked by one statement, in the order of docs/adr/0005, and then all
       attachments.
    3. The rows of `TASKS_PER_STATEMENT` new tasks are written by one statement, in the order of
       their natural keys: of two batches with the same keys, one waits for the other.
    """
    actor.require(Scope.TASKS_CREATE)
    batch = _Batch(actor, at)
    batch.check(drafts)
    if all_or_nothing:
        batch.require_all()
    batch.create()
    if all_or_nothing:
        batch.require_all()
    return [batch.results[number] for number in range(len(drafts))]


@dataclass(slots=True)
class _Batch:
    """The documents of one call by their numbers: contracts to write, and results."""

    actor: Principal
    at: datetime
    contracts: dict[int, Checked] = field(default_factory=dict)
    results: dict[int, Result] = field(default_factory=dict)
    # The tasks of this batch by their natural keys.
    created: dict[NaturalKey, Earlier] = field(default_factory=dict)
    attachments: set[UUID] = field(default_factory=set)

    def check(self, drafts: Sequence[Draft]) -> None:
        """Split the drafts into contracts to write and results that are known already."""
        documents = [draft.document for draft in drafts]
        usable = usable_pools(actor=self.actor, documents=documents)
        for number, draft in enumerate(drafts):
            error = self._error(draft, usable)
            if error is not None:
                self.results[number] = self._replayed_or(error, draft.document)
            elif draft.checked is not None:
                self.contracts[number] = draft.checked
        keys = {natural_key(checked.contract) for checked in self.contracts.values()}
        self._replay(earlier_tasks(actor=self.actor, keys=set(filter(None, keys))))

    def _error(self, draft: Draft, usable: set[UUID]) -> BioLayerError | None:
        """Return what is wrong with a draft, its references to pools and tasks included."""
        if draft.checked is not None and is_plain(draft.checked.contract):
            pool_id = draft.checked.contract.requirements.worker_pool_id
            if pool_id is None or pool_id in usable:
                return None
        if draft.error is not None and not isinstance(draft.error, InvalidInput):
            return draft.error
        faults = list(draft.error.faults) if draft.error is not None else []
        faults += reference_faults(actor=self.actor, document=draft.document, usable_pools=usable)
        return InvalidInput(list(dict.fromkeys(faults))) if faults else None

    def _replayed_or(self, error: BioLayerError, document: Any) -> Result:
        """Return the task that an invalid document created while it was valid, or the error."""
        if not isinstance(error, InvalidInput):
            return error
        try:
            earlier = sent_before(self.actor, document)
        except BioLayerError as reused:
            return reused
        return error if earlier is None else Created(earlier, is_new=False)

    def _replay(self, earlier: Mapping[NaturalKey, Earlier]) -> None:
        """Give the contracts whose key is in use the task that has it, or an error."""
        for number, (contract, _) in list(self.contracts.items()):
            key = natural_key(contract)
            if key is not None and key in earlier:
                self.results[number] = _replayed(earlier[key], contract)
                del self.contracts[number]

    def require_all(self) -> None:
        """Raise `InvalidInput` with the faults of all results that are errors."""
        errors = [(number, one) for number, one in sorted(self.results.items()) if _is_error(one)]
        faults = [fault for number, error in errors for fault in _faults(number, error)]
        if faults:
            raise InvalidInput(faults)

    def create(self) -> None:
        """Write the tasks of all contracts. Of two with one natural key the first is written."""
        named = {one for checked in self.contracts.values() for one in checked.contract.depends_on}
        lock_dependencies(sorted(named))
        attached = {
            one
            for checked in self.contracts.values()
            for one in attachments_of_contract(checked.contract)
        }
        self.attachments = lock_attachments(attached)
        contracts = iter(sorted(self.contracts.items(), key=_order))
        try:
            while part := list(islice(contracts, TASKS_PER_STATEMENT)):
                with crypto.sealing_once(), rows.batched():
                    for number, checked in part:
                        self.results[number] = self._created_or_replayed(checked)
        except IntegrityError as error:
            if "task_request_id_is_unique" in str(error):
                raise Raced from error
            raise

    def _created_or_replayed(self, checked: Checked) -> Result:
        key = natural_key(checked.contract)
        if key is not None and key in self.created:
            return _replayed(self.created[key], checked.contract)
        result = self._create(checked)
        if key is not None and isinstance(result, Created):
            self.created[key] = Earlier(result.task, is_visible=True)
        return result

    def _create(self, checked: Checked) -> Result:
        contract, requirement = checked
        task: Task = new_task(self.actor, contract, requirement, self.at)
        attachment_ids = attachments_of_contract(contract)
        try:
            if contract.depends_on:
                gate_task(task=task, task_ids=contract.depends_on)
            require_attachments(attachment_ids, self.attachments)
        except InvalidInput as error:
            return error
        also = [
            *dependency_rows(task, contract.depends_on),
            *attachment_rows(task, attachment_ids),
        ]
        write(task, contract, requirement, actor=self.actor, at=self.at, also=also)
        return Created(task, is_new=True)


def _order(numbered: tuple[int, Checked]) -> tuple[str, str, int]:
    number, (contract, _) = numbered
    return contract.origin.product, contract.origin.request_id or "", number


def _replayed(earlier: Earlier, contract: TaskContract) -> Result:
    try:
        return Created(earlier.replayed(contract), is_new=False)
    except BioLayerError as error:
        return error


def _is_error(result: Result) -> bool:
    return isinstance(result, BioLayerError)


def _faults(number: int, result: Result) -> list[Fault]:
    """Return what is wrong with one document, by pointers into the array of all."""
    if isinstance(result, InvalidInput):
        return [
            Fault(pointer(number) + fault.pointer, fault.code, fault.detail)
            for fault in result.faults
        ]
    assert isinstance(result, BioLayerError)
    return [Fault(pointer(number), result.code, str(result))]
