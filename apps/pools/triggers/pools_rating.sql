-- Return a worker's rating in a pool, as it is compared with what a task requires: not rounded.
-- Few ratings say little: they are drawn to the pool's mean as if five more ratings had been that mean.
CREATE OR REPLACE FUNCTION pools_rating(w pools_worker, in_pool uuid) RETURNS float
LANGUAGE sql STABLE AS $$
    SELECT coalesce((coalesce(w.exact_rating, w.rating) * w.rating_count + 5 * p.rating_mean::numeric)
        / (w.rating_count + 5), w.exact_rating, w.rating)::float
    FROM pools_pool p WHERE p.id = in_pool
$$;
