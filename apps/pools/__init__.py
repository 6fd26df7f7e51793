"""Groups of workers, and the workers: people and agents."""
