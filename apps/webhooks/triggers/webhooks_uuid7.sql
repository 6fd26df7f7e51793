-- Return a version 7 UUID (RFC 9562, 5.7) of a time: an index of such ids grows at its end.
-- PostgreSQL has a function of its own from version 18 on.
CREATE OR REPLACE FUNCTION webhooks_uuid7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$;
