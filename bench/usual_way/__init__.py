"""Implement the same create as a competent team would with plain Django and DRF.

Nested serializers, a model for each kind of row, four ORM inserts in one transaction. It does less
than the service: no rate limit, no look at the pool, no destination, one clock, no hash chain, no
sealed secrets, no wake-up.
"""
