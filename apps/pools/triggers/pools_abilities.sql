-- Return what a worker can do as words: `phone`, `phone:3` for each level from 2 up to its own, `@en`
-- for a language. Any requirement is then one comparison of arrays.
CREATE OR REPLACE FUNCTION pools_abilities(skills varchar[], levels jsonb, languages varchar[])
RETURNS varchar[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(DISTINCT word), '{}')::varchar[] FROM (
        SELECT skill AS word FROM unnest(skills) AS skill
        UNION ALL
        SELECT skill || ':' || level FROM unnest(skills) AS skill,
            generate_series(2, least(5, coalesce((levels->>skill)::int, 1))) AS level
        UNION ALL
        SELECT '@' || part FROM unnest(languages) AS tag,
            LATERAL (VALUES (lower(tag)), (split_part(lower(tag), '-', 1))) AS parts (part)
    ) AS words
$$;
