"""What answers of `/api` for operators must be, and what its log has of a task."""

from typing import Any

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.operations.models import LogEntry
from tests.api.agh_contract import answer_faults, error_faults
from tests.factories import Caller, House
from tests.operator_steps import Desk


def expect(operation_id: str, response: Any, status: int = 200) -> Any:
    """Return the body of a success, which is as the contract says."""
    assert response.status_code == status, response.content
    body = response.json()
    assert answer_faults(operation_id, body) == []
    return body


def refused(response: Any, status: int, *words: str) -> str:
    """Return the text of a refusal, which has the words and the contract's form."""
    assert response.status_code == status, response.content
    body = response.json()
    assert error_faults(body) == []
    text: str = body["error"]
    assert [word for word in words if word not in text] == [], text
    return text


def logged(task_id: str, *kinds: str) -> list[LogEntry]:
    """Return the entries of a task's log, in their order; of these types only, if any are named."""
    entries = LogEntry.objects.filter(task__details__wire_id=task_id).order_by("sequence")
    return [entry for entry in entries if not kinds or entry.type in kinds]


def strangers_desk(house: House) -> Desk:
    """Return the calls of a manager of another organisation."""
    key = issue_key(
        organisation_id=house.strangers_pool.organisation_id,
        name="Operator",
        role=Role.MANAGER,
        scopes=[scope for scope in Scope if scope is not Scope.WORK],
    )
    return Desk(Caller(key))
