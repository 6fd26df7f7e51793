"""Apply the commands of the transition table. Each service locks, checks, applies and returns.

Import the services from here. Those that take a `Task` or `Run` expect it locked by `locks`; those
that take an id lock it themselves. `also` are rows of the caller that belong to the same
transition."""

from apps.tasks.services.attachments import (
    add_attachment,
    receive_attachment,
)
from apps.tasks.services.batch_creation import (
    Draft,
    Result,
    add_shared_rows,
    create_tasks,
    draft_tasks,
)
from apps.tasks.services.certificates import (
    claim_certification,
    drop_files,
    receive_certificate,
)
from apps.tasks.services.claim_only import (
    NewTask,
    change_columns,
    create_claim_only,
    fail_open_run,
    hold_failed,
    mark_starting,
    new_task_id,
    queue_run,
    requirement_of,
    shelve_run,
)
from apps.tasks.services.closing import (
    cancel_locked,
    cancel_task,
    cancel_tasks,
    complete_task,
    complete_unreviewed,
    fail_task,
    reopen_task,
    rework_task,
    verify_task,
)
from apps.tasks.services.contents import (
    OpenContent,
    open_attachment,
    open_certificate,
    open_evidence,
    open_file_of_run,
)
from apps.tasks.services.contract_checks import (
    add_check,
)
from apps.tasks.services.creating import (
    Created,
    check_contract,
    create_task,
    create_unless_refused,
    publish_locked,
    publish_task,
)
from apps.tasks.services.dependencies import (
    fail_dependents,
)
from apps.tasks.services.drafts import (
    save_draft,
)
from apps.tasks.services.evidence import (
    add_evidence,
    receive_evidence,
    remove_evidence,
    upload_evidence,
)
from apps.tasks.services.exports import (
    export_tasks,
)
from apps.tasks.services.graph import (
    link,
    mark_paused,
    move_gates,
    unlink,
    unlink_all,
)
from apps.tasks.services.leases import (
    lapse_run,
    recall_run,
)
from apps.tasks.services.locks import (
    lock_run_of,
)
from apps.tasks.services.media import ACCEPTED as ACCEPTED_TYPES
from apps.tasks.services.messages import (
    post_message,
)
from apps.tasks.services.queueing import (
    accept_task,
    change_task,
    claim_task,
    escalate_task,
    match_task,
    offer_task,
    queue_created,
    requeue_task,
)
from apps.tasks.services.requirements import (
    delete_unused_requirements,
)
from apps.tasks.services.retention import (
    add_early_purger,
    add_purger,
    before_purges,
    erase_text,
    erase_words,
    kept_reasons,
    place_hold,
    purge_due,
    purge_tasks_now,
    queue_purges,
    release_hold,
)
from apps.tasks.services.reviewing import (
    ReviewRequest,
    decide_reviews_by,
    end_review,
    record_appeal,
    report_overdue_review,
)
from apps.tasks.services.runs import (
    fail_run,
    finish_held,
    heartbeat_run,
    release_run,
    renew_held,
    start_run,
    submit_run,
    submit_with_files,
)
from apps.tasks.services.sla import (
    watch_sla,
    watch_slas,
)
from apps.tasks.services.stored_files import (
    ReceivedFile,
    delete_due_files,
    give_up_file,
    purge_files,
)

__all__ = [
    "ACCEPTED_TYPES",
    "Created",
    "Draft",
    "NewTask",
    "OpenContent",
    "ReceivedFile",
    "Result",
    "ReviewRequest",
    "accept_task",
    "add_attachment",
    "add_check",
    "add_early_purger",
    "add_evidence",
    "add_purger",
    "add_shared_rows",
    "before_purges",
    "cancel_locked",
    "cancel_task",
    "cancel_tasks",
    "change_columns",
    "change_task",
    "check_contract",
    "claim_certification",
    "claim_task",
    "complete_task",
    "complete_unreviewed",
    "create_claim_only",
    "create_task",
    "create_tasks",
    "create_unless_refused",
    "decide_reviews_by",
    "delete_due_files",
    "delete_unused_requirements",
    "draft_tasks",
    "drop_files",
    "end_review",
    "erase_text",
    "erase_words",
    "escalate_task",
    "export_tasks",
    "fail_dependents",
    "fail_open_run",
    "fail_run",
    "fail_task",
    "finish_held",
    "give_up_file",
    "heartbeat_run",
    "hold_failed",
    "kept_reasons",
    "lapse_run",
    "link",
    "lock_run_of",
    "mark_paused",
    "mark_starting",
    "match_task",
    "move_gates",
    "new_task_id",
    "offer_task",
    "open_attachment",
    "open_certificate",
    "open_evidence",
    "open_file_of_run",
    "place_hold",
    "post_message",
    "publish_locked",
    "publish_task",
    "purge_due",
    "purge_files",
    "purge_tasks_now",
    "queue_created",
    "queue_purges",
    "queue_run",
    "recall_run",
    "receive_attachment",
    "receive_certificate",
    "receive_evidence",
    "record_appeal",
    "release_hold",
    "release_run",
    "remove_evidence",
    "renew_held",
    "reopen_task",
    "report_overdue_review",
    "requeue_task",
    "requirement_of",
    "rework_task",
    "save_draft",
    "shelve_run",
    "start_run",
    "submit_run",
    "submit_with_files",
    "unlink",
    "unlink_all",
    "upload_evidence",
    "verify_task",
    "watch_sla",
    "watch_slas",
]
