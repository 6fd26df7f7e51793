-- The tasks whose id, or whose request's id, a text is. A request's id is unique in its product.
SELECT id FROM tasks_task WHERE organisation_id = %(organisation_id)s AND id = %(id)s
UNION
(SELECT id FROM tasks_task WHERE organisation_id = %(organisation_id)s AND request_id = %(text)s
LIMIT {{ limit }})
