"""Create many tasks at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import IntegrityError

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base import rows
from apps.base.transactions import Raced, atomic
from apps.tasks.changes import dependency_rows
from apps.tasks.models import Task
from apps.tasks.services.contract_checks import (
    checked_contract,
    named_organisation,
    usable_pools,
)
from apps.tasks.services.creating import Created, new_task, sent_before, write
from apps.tasks.services.dependencies import gate_task
from apps.tasks.services.locks import lock_dependencies
from apps.tasks.services.natural_key import Earlier, NaturalKey, earlier_tasks, natural_key
from biolayer.contract import TaskContract
from biolayer.errors import BioLayerError, Fault, InvalidInput, pointer

MAX_DOCUMENTS = 500

# Between two statements PostgreSQL waits for us, up to `idle_in_transaction_session_timeout`.
TASKS_PER_STATEMENT = 50

Result = Created | BioLayerError


@atomic()
def create_tasks(
    *, actor: Principal, documents: Sequence[Any], at: datetime, all_or_nothing: bool = False
) -> list[Result]:
    """Create a task for each document that is accepted. Return a result for each, in their order.

    A document may be an error already, which becomes its result. With `all_or_nothing`, raise
    `InvalidInput` with the faults of all documents where one is refused: their pointers begin with
    the document's number. Raise `ScopeMissing`, and `Raced` where another call used a natural key.

    1. Each document is checked by itself; pools and natural keys are read once for all of them.
    2. All dependencies are locked by one statement, in the order of docs/adr/0005.
    3. The rows of `TASKS_PER_STATEMENT` new tasks are written by one statement.
    """
    actor.require(Scope.TASKS_CREATE)
    batch = _Batch(actor, at)
    batch.check(documents)
    if all_or_nothing:
        batch.require_all()
    batch.create()
    if all_or_nothing:
        batch.require_all()
    return [batch.results[number] for number in range(len(documents))]


@dataclass(slots=True)
class _Batch:
    """The documents of one call by their numbers: contracts to write, and results."""

    actor: Principal
    at: datetime
    contracts: dict[int, TaskContract] = field(default_factory=dict)
    results: dict[int, Result] = field(default_factory=dict)
    # The tasks of this batch by their natural keys.
    created: dict[NaturalKey, Earlier] = field(default_factory=dict)

    def check(self, documents: Sequence[Any]) -> None:
        """Split the documents into contracts to write and results that are known already."""
        usable = usable_pools(actor=self.actor, documents=documents)
        for number, document in enumerate(documents):
            try:
                self.contracts[number] = self._contract(document, usable)
            except InvalidInput as error:
                earlier = sent_before(self.actor, document)
                self.results[number] = Created(earlier, is_new=False) if earlier else error
            except BioLayerError as error:
                self.results[number] = error
        self._replay(earlier_tasks(actor=self.actor, keys=_keys(self.contracts.values())))

    def _contract(self, document: Any, usable: set[Any]) -> TaskContract:
        if isinstance(document, BioLayerError):
            raise document
        self.actor.require_organisation(named_organisation(document))
        return checked_contract(
            actor=self.actor, document=document, at=self.at, usable_pools=usable
        )

    def _replay(self, earlier: Mapping[NaturalKey, Earlier]) -> None:
        """Give the contracts whose key is in use the task that has it, or an error."""
        for number, contract in list(self.contracts.items()):
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
        named = {task_id for one in self.contracts.values() for task_id in one.depends_on}
        lock_dependencies(sorted(named))
        contracts = iter(self.contracts.items())
        try:
            while part := list(islice(contracts, TASKS_PER_STATEMENT)):
                with rows.batched():
                    for number, contract in part:
                        self.results[number] = self._created_or_replayed(contract)
        except IntegrityError as error:
            if "task_request_id_is_unique" in str(error):
                raise Raced from error
            raise

    def _created_or_replayed(self, contract: TaskContract) -> Result:
        key = natural_key(contract)
        if key is not None and key in self.created:
            return _replayed(self.created[key], contract)
        result = self._create(contract)
        if key is not None and isinstance(result, Created):
            self.created[key] = Earlier(result.task, is_visible=True)
        return result

    def _create(self, contract: TaskContract) -> Result:
        task: Task = new_task(self.actor, contract, self.at)
        if contract.depends_on:
            try:
                gate_task(task=task, task_ids=contract.depends_on)
            except InvalidInput as error:
                return error
        also = dependency_rows(task, contract.depends_on)
        write(task, contract, actor=self.actor, at=self.at, also=also)
        return Created(task, is_new=True)


def _keys(contracts: Iterable[TaskContract]) -> set[NaturalKey]:
    return set(filter(None, map(natural_key, contracts)))


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
