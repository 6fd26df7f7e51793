"""Define how German pages write dates and times."""
