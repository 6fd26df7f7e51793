-- Read the domains of an organisation's tasks. The index is skipped through from domain to domain: the
-- cost follows their number, not the tasks'.
WITH RECURSIVE found AS (
    (SELECT domain FROM tasks_task WHERE organisation_id = %(organisation_id)s
     ORDER BY domain LIMIT 1)
    UNION ALL
    SELECT (SELECT domain FROM tasks_task
            WHERE organisation_id = %(organisation_id)s AND domain > found.domain
            ORDER BY domain LIMIT 1)
    FROM found WHERE found.domain IS NOT NULL
)
SELECT domain FROM found WHERE domain IS NOT NULL LIMIT %(limit)s
