-- When an organisation's default retention becomes shorter, its closed tasks get other times.
CREATE OR REPLACE FUNCTION tasks_retention_is_shorter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tasks_retentionchange (organisation_id, requested_at)
    VALUES (NEW.id, clock_timestamp())
    ON CONFLICT (organisation_id) DO UPDATE
        SET requested_at = excluded.requested_at, after_id = NULL;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER accounts_organisation_retains_less
    AFTER UPDATE OF retain_days ON accounts_organisation
    FOR EACH ROW WHEN (NEW.retain_days < OLD.retain_days)
    EXECUTE FUNCTION tasks_retention_is_shorter();
