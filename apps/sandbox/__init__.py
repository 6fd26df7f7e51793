"""Simulate the workers of sandboxes: they answer offers and submit outputs by the schema."""
