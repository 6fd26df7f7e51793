-- Count a task at `created` elsewhere when its last gate opens, or its first one closes. These are no
-- transitions, and the statement that moves gates knows the new number of them only here.
CREATE OR REPLACE FUNCTION operations_gate_moves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sla varchar := CASE
        WHEN num_nonnulls(NEW.deadline_breached_at, NEW.latency_breached_at) > 0 THEN 'breached'
        WHEN num_nonnulls(NEW.deadline_at_risk_at, NEW.latency_at_risk_at) > 0 THEN 'at_risk'
        ELSE 'none' END;
BEGIN
    INSERT INTO operations_taskchange (organisation_id, pool_ids, domain, left_stage, left_sla,
        stage, sla, occurred_at)
    VALUES (NEW.organisation_id, NEW.pool_ids, NEW.domain,
        CASE WHEN OLD.gate_count > 0 THEN 'gated' ELSE 'waiting' END, sla,
        CASE WHEN NEW.gate_count > 0 THEN 'gated' ELSE 'waiting' END, sla, clock_timestamp());
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tasks_task_gate_moves AFTER UPDATE OF gate_count ON tasks_task
    FOR EACH ROW WHEN (OLD.status = 'created' AND NEW.status = 'created'
        AND (OLD.gate_count > 0) <> (NEW.gate_count > 0))
    EXECUTE FUNCTION operations_gate_moves();
