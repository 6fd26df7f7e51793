-- Place an event in the feed, never before the previous event of its task.
--
-- The feed sorts by (xid, id) and shows what is below the oldest transaction still running. By the id
-- of the transaction alone, two events of one task could be in the wrong order: a transaction that
-- wrote something before it waited for the task's row got its id early, and writes the later event
-- under the smaller id. See migration 0002 for why the feed stays ordered and complete.
CREATE OR REPLACE FUNCTION events_keep_the_tasks_order() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    NEW.xid := greatest(pg_current_xact_id(), (
        SELECT xid FROM events_event
        WHERE task_id = NEW.task_id AND sequence = NEW.sequence - 1
    ));
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER events_event_keeps_order BEFORE INSERT ON events_event
    FOR EACH ROW WHEN (NEW.sequence > 1) EXECUTE FUNCTION events_keep_the_tasks_order();
