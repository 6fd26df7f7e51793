"""Route the team workspace. Ids are any text here, so that an invalid one is a 404 problem."""

from django.urls import path

from apps.api.team_workspace import document, tasks, teams, workspace

ROOT = "team-workspace"
TASK = f"{ROOT}/tasks/<str:task_id>"

urlpatterns = [
    path(ROOT, workspace.Workspace.as_view()),
    path(f"{ROOT}/teams", teams.Teams.as_view()),
    path(f"{ROOT}/teams/<str:team_id>", teams.Team.as_view()),
    path(f"{ROOT}/tasks", tasks.Tasks.as_view()),
    path(TASK, tasks.Task.as_view()),
    path(f"{TASK}/approve", tasks.TaskApproval.as_view()),
    path(f"{TASK}/reject", tasks.TaskRejection.as_view()),
    path(f"{TASK}/cancel", tasks.TaskCancel.as_view()),
    path(f"{ROOT}/openapi.json", document.Document.as_view()),
]
