"""Define how each language writes dates and times."""
