"""The append-only log of every task, hash-chained."""
