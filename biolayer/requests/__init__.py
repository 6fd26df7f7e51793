"""Define the request bodies of `/v1`, except for the task contract (`biolayer.contract`)."""
