"""Let agents take tasks by themselves: their sessions, claims and leases."""
