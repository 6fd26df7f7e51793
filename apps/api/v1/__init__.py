"""Serve `/v1`: product backends post and follow tasks; workers are offered tasks and do them."""
