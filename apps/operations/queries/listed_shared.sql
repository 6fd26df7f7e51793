-- Read the tasks of an organisation that were touched since they were listed, and their rows as of now.
WITH touched AS MATERIALIZED (
    SELECT task_id FROM operations_touchedtask
    WHERE organisation_id = %(organisation_id)s AND task_id IS NOT NULL
    UNION
    SELECT l.task_id FROM operations_touchedtask m JOIN operations_listedtask l
        ON l.organisation_id = m.organisation_id AND l.session_id = m.session_id
    WHERE m.organisation_id = %(organisation_id)s AND m.session_id <> '' AND l.session_id <> ''
), fresh AS MATERIALIZED (
{{ fresh }}
)
