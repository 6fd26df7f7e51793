"""Try the service: a demo organisation, simulated workers, and a receiver of its callbacks."""
