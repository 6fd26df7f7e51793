"""The bodies that `/v1` takes, beside the task contract."""
