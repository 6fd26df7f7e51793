"""Build the response models of `/v1` from rows: one function for each model, named as its noun."""
