-- Note that what `ListedTask` tells of a row's task may have changed. Triggers, since a version without
-- these lists may run beside this one, and since gates, pauses and runs change without a transition.
CREATE OR REPLACE FUNCTION operations_touch_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_touchedtask (organisation_id, task_id)
    VALUES (coalesce(NEW.organisation_id, OLD.organisation_id), coalesce(NEW.task_id, OLD.task_id));
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tasks_run_touches_its_task
    AFTER INSERT OR DELETE OR UPDATE OF status, worker_id, epoch, queued_at, claimed_at, started_at,
        heartbeat_at, ended_at
    ON tasks_run FOR EACH ROW EXECUTE FUNCTION operations_touch_task();

CREATE OR REPLACE TRIGGER tasks_dependency_touches_its_task AFTER INSERT OR DELETE ON tasks_dependency
    FOR EACH ROW EXECUTE FUNCTION operations_touch_task();

-- Details are inserted with their task, and those of a run with the run.
CREATE OR REPLACE TRIGGER operations_taskdetails_touches_its_task
    AFTER DELETE OR UPDATE OF approval_state, owner_kind, owner_ref, paused_at, updated_at, deleted_at
    ON operations_taskdetails FOR EACH ROW EXECUTE FUNCTION operations_touch_task();

CREATE OR REPLACE TRIGGER operations_rundetails_touches_its_task
    AFTER DELETE OR UPDATE OF claimed_by_kind, claimed_by_ref, session_id, network_channel
    ON operations_rundetails FOR EACH ROW EXECUTE FUNCTION operations_touch_task();

CREATE OR REPLACE TRIGGER operations_logentry_touches_its_task
    AFTER INSERT OR DELETE ON operations_logentry
    FOR EACH ROW EXECUTE FUNCTION operations_touch_task();
