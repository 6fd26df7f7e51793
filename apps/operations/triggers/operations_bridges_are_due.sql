-- Have the subscriptions of bridges to a task looked at, after an event that may tell its end. It only
-- inserts, so that it never waits. A subscription that is created meanwhile locks the task, and looks
-- at what there is by itself.
CREATE OR REPLACE FUNCTION operations_bridges_are_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_bridgedue (organisation_id, subscription_id, due_at)
    SELECT s.organisation_id, s.id, clock_timestamp() FROM operations_bridgesubscription s
    WHERE s.task_id = NEW.task_id;
    RETURN NULL;
END $$;

-- What the kernel knows of the end of a task, of whichever API.
CREATE OR REPLACE TRIGGER events_event_bridges_are_due AFTER INSERT ON events_event
    FOR EACH ROW WHEN (NEW.type IN ('task.completed', 'task.failed', 'task.cancelled'))
    EXECUTE FUNCTION operations_bridges_are_due();

-- What only `/api` knows: runs that end, verdicts, and other attempts of a task that has failed.
CREATE OR REPLACE TRIGGER operations_logentry_bridges_are_due AFTER INSERT ON operations_logentry
    FOR EACH ROW WHEN (NEW.type IN ('task.run_completed', 'task.run_review_approved',
        'task.run_failed', 'task.run_operator_forced_fail', 'task.run_canceled', 'task.canceled',
        'task.updated'))
    EXECUTE FUNCTION operations_bridges_are_due();
