"""Route the pages of the console under `/admin/`, in the namespace `admin`."""

from django.urls import URLPattern, URLResolver, path

from apps.console.views import board, task_actions, task_bulk, task_composer, tasks

urlpatterns: list[URLPattern | URLResolver] = [
    path("", board.board, name="board"),
    path("board/fragment", board.fragment, name="board_fragment"),
    # Tasks.
    path("tasks/new/", task_composer.new, name="task_new"),
    path("tasks/new/check", task_composer.check, name="task_new_check"),
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
]
