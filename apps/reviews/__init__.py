"""Whether a submission is good enough."""
