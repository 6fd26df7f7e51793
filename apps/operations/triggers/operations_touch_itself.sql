-- Do the same as `operations_touch_task`, of a task itself. Each event of a task changes its version.
CREATE OR REPLACE FUNCTION operations_touch_itself() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_touchedtask (organisation_id, task_id)
    VALUES (coalesce(NEW.organisation_id, OLD.organisation_id), coalesce(NEW.id, OLD.id));
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tasks_task_touches_itself
    AFTER INSERT OR DELETE OR UPDATE OF version, status, changed_at, closed_at, gate_count, attempt,
        max_attempts, is_paused, urgency, pool_id, pool_ids
    ON tasks_task FOR EACH ROW EXECUTE FUNCTION operations_touch_itself();
