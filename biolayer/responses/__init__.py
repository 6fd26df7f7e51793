"""The bodies that `/v1` returns."""
