"""Keep the roll-ups: fold changes into them, recount them, and delete what is old."""

from apps.operations.services.folding import FIRST_CHANGE_DUE_AT, clean_up_rollups, fold_changes
from apps.operations.services.processes import delete_dead_processes
from apps.operations.services.recounting import recount, recount_if_due

__all__ = [
    "FIRST_CHANGE_DUE_AT",
    "clean_up_rollups",
    "delete_dead_processes",
    "fold_changes",
    "recount",
    "recount_if_due",
]
