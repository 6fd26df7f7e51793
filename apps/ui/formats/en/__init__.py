"""Define how English pages write dates and times."""
