"""Note each change of what is listed of a task, whichever version of the service makes it.

Each trigger locks its table for a moment, against writes. So each is a transaction of its own: one
that held two tables could block, and be blocked by, a transition that writes them in turn.
"""

from django.db import migrations

TOUCH_TASK = """
-- Note that what `ListedTask` tells of a row's task may have changed. Triggers, since a version without
-- these lists may run beside this one, and since gates, pauses and runs change without a transition.
CREATE OR REPLACE FUNCTION operations_touch_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_touchedtask (organisation_id, task_id)
    VALUES (coalesce(NEW.organisation_id, OLD.organisation_id), coalesce(NEW.task_id, OLD.task_id));
    RETURN NULL;
END $$;
"""
TOUCH_ITSELF = """
-- Do the same as `operations_touch_task`, of a task itself. Each event of a task changes its version.
CREATE OR REPLACE FUNCTION operations_touch_itself() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_touchedtask (organisation_id, task_id)
    VALUES (coalesce(NEW.organisation_id, OLD.organisation_id), coalesce(NEW.id, OLD.id));
    RETURN NULL;
END $$;
"""
TOUCH_BOUND = """
-- Note that the runs that are bound to a session may have become orphans, or are none any more. Which
-- runs these are is known when the row is read: one may be bound by a transaction that is not over.
CREATE OR REPLACE FUNCTION operations_touch_bound() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_touchedtask (organisation_id, session_id)
    VALUES (coalesce(NEW.organisation_id, OLD.organisation_id),
        coalesce(NEW.session_id, OLD.session_id));
    RETURN NULL;
END $$;
"""

# The trigger, and its table.
TRIGGERS = {
    ("tasks_run_touches_its_task", "tasks_run"): """
CREATE OR REPLACE TRIGGER tasks_run_touches_its_task
    AFTER INSERT OR DELETE OR UPDATE OF status, worker_id, epoch, queued_at, claimed_at, started_at,
        heartbeat_at, ended_at
    ON tasks_run FOR EACH ROW EXECUTE FUNCTION operations_touch_task()
""",
    ("tasks_dependency_touches_its_task", "tasks_dependency"): """
CREATE OR REPLACE TRIGGER tasks_dependency_touches_its_task AFTER INSERT OR DELETE ON tasks_dependency
    FOR EACH ROW EXECUTE FUNCTION operations_touch_task()
""",
    ("operations_taskdetails_touches_its_task", "operations_taskdetails"): """
CREATE OR REPLACE TRIGGER operations_taskdetails_touches_its_task
    AFTER DELETE OR UPDATE OF approval_state, owner_kind, owner_ref, paused_at, updated_at, deleted_at
    ON operations_taskdetails FOR EACH ROW EXECUTE FUNCTION operations_touch_task()
""",
    ("operations_rundetails_touches_its_task", "operations_rundetails"): """
CREATE OR REPLACE TRIGGER operations_rundetails_touches_its_task
    AFTER DELETE OR UPDATE OF claimed_by_kind, claimed_by_ref, session_id, network_channel
    ON operations_rundetails FOR EACH ROW EXECUTE FUNCTION operations_touch_task()
""",
    ("operations_logentry_touches_its_task", "operations_logentry"): """
CREATE OR REPLACE TRIGGER operations_logentry_touches_its_task
    AFTER INSERT OR DELETE ON operations_logentry
    FOR EACH ROW EXECUTE FUNCTION operations_touch_task()
""",
    ("tasks_task_touches_itself", "tasks_task"): """
CREATE OR REPLACE TRIGGER tasks_task_touches_itself
    AFTER INSERT OR DELETE OR UPDATE OF version, status, changed_at, closed_at, gate_count, attempt,
        max_attempts, is_paused, urgency, pool_id, pool_ids
    ON tasks_task FOR EACH ROW EXECUTE FUNCTION operations_touch_itself()
""",
    ("agents_agentsession_touches_its_tasks", "agents_agentsession"): """
CREATE OR REPLACE TRIGGER agents_agentsession_touches_its_tasks
    AFTER INSERT OR DELETE OR UPDATE OF state, session_id ON agents_agentsession
    FOR EACH ROW EXECUTE FUNCTION operations_touch_bound()
""",
}


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("operations", "0014_listed"),
        ("agents", "0001_initial"),
        ("tasks", "0029_inbox"),
    ]

    operations = [
        migrations.RunSQL(TOUCH_TASK, "DROP FUNCTION IF EXISTS operations_touch_task"),
        migrations.RunSQL(TOUCH_ITSELF, "DROP FUNCTION IF EXISTS operations_touch_itself"),
        migrations.RunSQL(TOUCH_BOUND, "DROP FUNCTION IF EXISTS operations_touch_bound"),
        *(
            migrations.RunSQL(made, f"DROP TRIGGER IF EXISTS {name} ON {table}")
            for (name, table), made in TRIGGERS.items()
        ),
    ]
