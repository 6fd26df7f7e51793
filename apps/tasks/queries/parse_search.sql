-- Read a text as a search of titles. The last word may be the beginning of one, unless it is quoted
-- or excluded. `indexable` is empty or 'T' where no word is asked for. `hits` counts the matches
-- among the newest titles of the organisation.
WITH given AS MATERIALIZED (SELECT websearch_to_tsquery('simple', %(text)s) AS words),
asked AS MATERIALIZED (
    SELECT CASE WHEN %(is_open)s AND words::text LIKE '%%''' THEN (words::text || ':*')::tsquery
        ELSE words END AS words
    FROM given
)
SELECT asked.words::text, querytree(asked.words), (
    SELECT count(*) FROM (
        SELECT title FROM tasks_task WHERE organisation_id = %(organisation_id)s
        ORDER BY created_at DESC, id DESC LIMIT {{ sample }}
    ) newest
    WHERE to_tsvector('simple', newest.title) @@ asked.words
)
FROM asked
