-- A signed head of the audit log accepts no UPDATE and no DELETE.
CREATE OR REPLACE FUNCTION accounts_audit_heads_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'heads of the audit log are append-only: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE OR REPLACE TRIGGER accounts_audithead_append_only
    BEFORE UPDATE OR DELETE ON accounts_audithead
    FOR EACH ROW EXECUTE FUNCTION accounts_audit_heads_stay();
