"""Route the pages of the console under `/admin/`, in the namespace `admin`."""

from django.urls import URLPattern, URLResolver, path

from apps.console.access_urls import ACCESS
from apps.console.views import (
    appeals,
    board,
    deliveries,
    endpoints,
    notes,
    pool_members,
    pools,
    recoveries,
    reviewers,
    signing_keys,
    staff,
    task_actions,
    task_bulk,
    task_composer,
    task_export,
    tasks,
    worker_actions,
    worker_invitations,
    worker_people,
    workers,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", board.board, name="board"),
    path("board/fragment", board.fragment, name="board_fragment"),
    *ACCESS,
    # The installation's own staff.
    path("organisations/", staff.organisations, name="staff_organisations"),
    path("organisations/close/", staff.close_access, name="staff_close"),
    path("organisations/<uuid:organisation_id>/read/", staff.open_access, name="staff_open"),
    # Tasks.
    path("tasks/new/", task_composer.new, name="task_new"),
    path("tasks/new/check", task_composer.check, name="task_new_check"),
    path("tasks/export", task_export.export, name="tasks_export"),
    path("tasks/bulk/", task_bulk.bulk, name="tasks_bulk"),
    path("tasks/task/<uuid:task_id>/", tasks.task, name="task"),
    path("tasks/task/<uuid:task_id>/parts", tasks.parts, name="task_parts"),
    path("tasks/task/<uuid:task_id>/events/", tasks.task_events, name="task_events"),
    path("tasks/task/<uuid:task_id>/message/", tasks.message, name="task_message"),
    path("tasks/task/<uuid:task_id>/undo/", task_actions.undo_change, name="task_undo"),
    path(
        "tasks/task/<uuid:task_id>/evidence/<uuid:evidence_id>",
        tasks.evidence,
        name="task_evidence",
    ),
    path("tasks/task/<uuid:task_id>/<slug:name>/", task_actions.action, name="task_action"),
    # Decisions on verdicts; their lists are in apps/reviews/admin.py.
    path("reviews/appeal/<uuid:appeal_id>/", appeals.appeal, name="appeal"),
    path("reviews/reviewers/", reviewers.reviewers, name="reviewers"),
    # Pools and workers.
    path("pools/pool/new/", pools.pool_new, name="pool_new"),
    path("pools/pool/<uuid:pool_id>/", pools.pool, name="pool"),
    path("pools/pool/<uuid:pool_id>/edit/", pools.pool_edit, name="pool_edit"),
    path("pools/pool/<uuid:pool_id>/close/", pools.pool_close, name="pool_close"),
    path("pools/pool/<uuid:pool_id>/add/", pool_members.add, name="pool_add"),
    path("pools/pool/<uuid:pool_id>/remove/", pool_members.remove, name="pool_remove"),
    path("pools/pool/<uuid:pool_id>/note/", notes.note_new, name="note_new"),
    path(
        "pools/pool/<uuid:pool_id>/note/<uuid:note_id>/delete/",
        notes.note_delete,
        name="note_delete",
    ),
    path("pools/worker/new/", workers.worker_new, name="worker_new"),
    path("pools/worker/invite/", worker_invitations.invite, name="worker_invite"),
    path(
        "pools/worker/invite/<uuid:invitation_id>/resend/",
        worker_invitations.resend,
        name="worker_invite_resend",
    ),
    path(
        "pools/worker/invite/<uuid:invitation_id>/revoke/",
        worker_invitations.revoke,
        name="worker_invite_revoke",
    ),
    path("pools/worker/<uuid:worker_id>/", workers.worker, name="worker"),
    path("pools/worker/<uuid:worker_id>/edit/", workers.worker_edit, name="worker_edit"),
    path(
        "pools/worker/<uuid:worker_id>/presence/", worker_actions.presence, name="worker_presence"
    ),
    path("pools/worker/<uuid:worker_id>/join/", worker_actions.join, name="worker_join"),
    path("pools/worker/<uuid:worker_id>/leave/", worker_actions.leave, name="worker_leave"),
    path("pools/worker/<uuid:worker_id>/key/", worker_actions.new_key, name="worker_key"),
    path("pools/worker/<uuid:worker_id>/end/", worker_actions.end, name="worker_end"),
    path("pools/worker/<uuid:worker_id>/link/", worker_people.link, name="worker_link"),
    path("pools/worker/<uuid:worker_id>/unlink/", worker_people.unlink, name="worker_unlink"),
    path("pools/claim/<uuid:claim_id>/decide/", worker_actions.decide, name="claim_decide"),
    path("pools/claim/<uuid:claim_id>/document/", worker_actions.document, name="claim_document"),
    # Webhooks.
    path("webhooks/endpoint/new", endpoints.new, name="endpoint_new"),
    path("webhooks/endpoint/<uuid:endpoint_id>/", endpoints.endpoint, name="endpoint"),
    path(
        "webhooks/endpoint/<uuid:endpoint_id>/fragment",
        endpoints.fragment,
        name="endpoint_fragment",
    ),
    path(
        "webhooks/endpoint/<uuid:endpoint_id>/settings",
        endpoints.settings,
        name="endpoint_settings",
    ),
    path("webhooks/endpoint/<uuid:endpoint_id>/test", endpoints.send_test, name="endpoint_test"),
    path(
        "webhooks/endpoint/<uuid:endpoint_id>/enabled",
        endpoints.set_enabled,
        name="endpoint_enabled",
    ),
    path("webhooks/endpoint/<uuid:endpoint_id>/delete", endpoints.delete, name="endpoint_delete"),
    path("webhooks/origin/<uuid:origin_id>/", endpoints.origin, name="origin"),
    path("webhooks/delivery/resend", deliveries.resend, name="delivery_resend"),
    path("webhooks/delivery/<uuid:delivery_id>/", deliveries.delivery, name="delivery"),
    path(
        "webhooks/delivery/<uuid:delivery_id>/fragment",
        deliveries.fragment,
        name="delivery_fragment",
    ),
    path(
        "webhooks/delivery/<uuid:delivery_id>/resend",
        deliveries.resend_one,
        name="delivery_resend_one",
    ),
    path("webhooks/recovery/new", recoveries.new, name="recovery_new"),
    path("webhooks/recovery/<uuid:recovery_id>/", recoveries.recovery, name="recovery"),
    path(
        "webhooks/recovery/<uuid:recovery_id>/fragment",
        recoveries.fragment,
        name="recovery_fragment",
    ),
    path("webhooks/keys/", signing_keys.keys, name="signing_keys"),
    path("webhooks/keys/rotate", signing_keys.rotate, name="signing_key_rotate"),
    path("webhooks/keys/<uuid:key_id>/end", signing_keys.end, name="signing_key_end"),
]
