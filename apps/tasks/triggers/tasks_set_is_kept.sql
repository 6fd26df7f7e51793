-- Record the set of pools of a new task that may be offered to several, for the lists of credentials
-- that are restricted to pools. A trigger, since a version without these lists may run beside this one.
CREATE OR REPLACE FUNCTION tasks_set_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tasks_poolset (organisation_id, hash, pool_ids)
    VALUES (NEW.organisation_id, hash_array_extended(NEW.pool_ids, 0), NEW.pool_ids)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tasks_task_keeps_its_set AFTER INSERT ON tasks_task
    FOR EACH ROW WHEN (cardinality(NEW.pool_ids) > 1) EXECUTE FUNCTION tasks_set_is_kept();
