-- Read a text as the id of a task, or as that of a request, which is unique in its product; else as a
-- search of titles. The last word may be the beginning of one, unless it is quoted or excluded.
-- `indexable` is empty or 'T' where no word is asked for. `hits` counts the matches among the newest
-- titles of the organisation.
WITH named AS MATERIALIZED (
    SELECT id FROM tasks_task WHERE organisation_id = %(organisation_id)s AND id = %(id)s
    UNION
    (SELECT id FROM tasks_task WHERE organisation_id = %(organisation_id)s
        AND request_id = %(text)s LIMIT {{ max_named }})
), given AS MATERIALIZED (SELECT websearch_to_tsquery('simple', %(phrase)s) AS words),
asked AS MATERIALIZED (
    SELECT CASE WHEN %(is_open)s AND words::text LIKE '%%''' THEN (words::text || ':*')::tsquery
        ELSE words END AS words
    FROM given
)
SELECT ARRAY(SELECT id FROM named), asked.words::text, querytree(asked.words), (
    SELECT count(*) FROM (
        SELECT title FROM tasks_task
        WHERE organisation_id = %(organisation_id)s AND NOT EXISTS (SELECT FROM named)
        ORDER BY created_at DESC, id DESC LIMIT {{ sample }}
    ) newest
    WHERE to_tsvector('simple', newest.title) @@ asked.words
)
FROM asked
