-- Count the members of pools, those with free capacity, the queued tasks and the open offers.
SELECT p.id,
    (SELECT count(*) FROM pools_membership m WHERE m.pool_id = p.id),
    (SELECT count(*) FROM pools_membership m WHERE m.pool_id = p.id AND m.free > 0),
    (SELECT count(*) FROM (
        SELECT FROM tasks_requirement r JOIN tasks_task t ON t.status = 'queued'
            AND t.organisation_id = r.organisation_id AND t.requirement_id = r.id
        WHERE r.organisation_id = p.organisation_id AND p.id = ANY (r.pool_ids)
        LIMIT {{ max_counted }}) queued),
    (SELECT count(*) FROM matching_offer o WHERE o.pool_id = p.id AND o.status = 'open')
FROM pools_pool p WHERE p.id = ANY (%s)
