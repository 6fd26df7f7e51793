"""`/v1`: product backends post tasks and follow them; workers are offered tasks and do them."""
