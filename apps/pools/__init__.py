"""Manage pools of workers, and the workers: people and agents."""
