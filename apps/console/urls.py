"""Route the pages of the console under `/admin/`, in the namespace `admin`."""

from django.urls import URLPattern, URLResolver, path

from apps.console.views import board, tasks

urlpatterns: list[URLPattern | URLResolver] = [
    path("", board.board, name="board"),
    path("board/fragment", board.fragment, name="board_fragment"),
    path("tasks/task/<uuid:task_id>/", tasks.task, name="task"),
]
