"""The log accepts no UPDATE and no DELETE, and the feed keeps each task's order.

The feed sorts by (xid, id) and shows what is below the oldest transaction still running. By the
transaction's id alone, two events of one task could come out the wrong way round: a transaction that
wrote something before it waited for the task's row got its id early, and writes the later event under
the smaller id. So an event's place is never before that of the task's event before it:

    xid := greatest(id of the writing transaction, xid of the task's previous event)

1. Order. Whoever writes event n holds the task's row, so event n - 1 is committed (or our own) and the
   query sees it: VOLATILE gives it a snapshot of its own. The places of a task's events then never
   fall, and where two share an xid their ids, drawn in turn under the same lock, decide.
2. Completeness. A reader passes a place with xid X only once every transaction up to X has ended. A
   row's place is never below the id of the transaction that writes it; so while that transaction
   runs, no reader has passed the place, and a row that is not to be seen yet can only come further
   ahead. A later place delays an event (until the task's previous writer is settled, too); it is
   never skipped.
"""

from django.db import migrations

PLACE = """
CREATE FUNCTION events_keep_the_tasks_order() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    NEW.xid := greatest(pg_current_xact_id(), (
        SELECT xid FROM events_event
        WHERE task_id = NEW.task_id AND sequence = NEW.sequence - 1
    ));
    RETURN NEW;
END $$;
CREATE TRIGGER events_event_keeps_order BEFORE INSERT ON events_event
    FOR EACH ROW WHEN (NEW.sequence > 1) EXECUTE FUNCTION events_keep_the_tasks_order();
"""

NO_PLACE = """
DROP TRIGGER events_event_keeps_order ON events_event;
DROP FUNCTION events_keep_the_tasks_order();
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]
    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'events are append-only: % refused', TG_OP
                    USING ERRCODE = 'integrity_constraint_violation';
            END $$;
            CREATE TRIGGER events_event_append_only BEFORE UPDATE OR DELETE ON events_event
                FOR EACH ROW EXECUTE FUNCTION events_are_append_only();
            """,
            """
            DROP TRIGGER events_event_append_only ON events_event;
            DROP FUNCTION events_are_append_only();
            """,
        ),
        migrations.RunSQL(PLACE, NO_PLACE),
    ]
