"""Route the URLs of `/api`. Ids are any text here, so that an invalid one is a 404."""

from django.urls import path

from apps.api.operations import agent_tasks, document, force, reads, scheduler, sessions, tasks

urlpatterns = [
    path("agent/sessions", sessions.Sessions.as_view()),
    path("agent/sessions/<str:session_id>", sessions.Session.as_view()),
    path("agent/sessions/<str:session_id>/stop", sessions.SessionStop.as_view()),
    path("agent/tasks/claim-next", agent_tasks.AgentClaimNext.as_view()),
    path("agent/tasks/<str:run_id>/heartbeat", agent_tasks.AgentHeartbeat.as_view()),
    path("agent/tasks/<str:run_id>/complete", agent_tasks.AgentComplete.as_view()),
    path("agent/tasks/<str:run_id>/fail", agent_tasks.AgentFail.as_view()),
    path("agent/tasks/<str:run_id>/release", agent_tasks.AgentRelease.as_view()),
    path("runs/<str:run_id>/inspect", reads.RunInspect.as_view()),
    path("task-runs/<str:run_id>", reads.TaskRun.as_view()),
    # Before `runs/<run_id>`: no run has this id.
    path("runs/bulk/fail", force.RunsFail.as_view()),
    path("runs/bulk/release", force.RunsRelease.as_view()),
    path("runs/<str:run_id>/fail", force.RunFail.as_view()),
    path("runs/<str:run_id>/recover", force.RunRecover.as_view()),
    path("runs/<str:run_id>/release", force.RunRelease.as_view()),
    path("runs/<str:run_id>/retry", force.RunRetry.as_view()),
    path("scheduler", scheduler.Scheduler.as_view()),
    path("scheduler/backlog", scheduler.SchedulerBacklog.as_view()),
    path("scheduler/drain", scheduler.SchedulerDrain.as_view()),
    path("scheduler/pause", scheduler.SchedulerPause.as_view()),
    path("scheduler/resume", scheduler.SchedulerResume.as_view()),
    path("tasks", tasks.Tasks.as_view()),
    path("tasks/<str:task_id>", tasks.Task.as_view()),
    path("tasks/<str:task_id>/approve", tasks.TaskApprove.as_view()),
    path("tasks/<str:task_id>/cancel", tasks.TaskCancel.as_view()),
    path("tasks/<str:task_id>/children", tasks.TaskChildren.as_view()),
    path("tasks/<str:task_id>/dependencies", tasks.TaskDependencies.as_view()),
    path("tasks/<str:task_id>/dependencies/<str:depends_on_id>", tasks.TaskDependency.as_view()),
    path("tasks/<str:task_id>/inspect", reads.TaskInspect.as_view()),
    path("tasks/<str:task_id>/pause", tasks.TaskPause.as_view()),
    path("tasks/<str:task_id>/publish", tasks.TaskPublish.as_view()),
    path("tasks/<str:task_id>/reject", tasks.TaskReject.as_view()),
    path("tasks/<str:task_id>/resume", tasks.TaskResume.as_view()),
    path("tasks/<str:task_id>/runs", tasks.TaskRuns.as_view()),
    path("tasks/<str:task_id>/start", tasks.TaskStart.as_view()),
    path("tasks/<str:task_id>/timeline", reads.TaskTimeline.as_view()),
    path("tasks/<str:task_id>/tree", reads.TaskTree.as_view()),
    path("openapi.json", document.Document.as_view()),
]
