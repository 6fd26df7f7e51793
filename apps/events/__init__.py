"""Keep the append-only, hash-chained event log, and its feed."""
