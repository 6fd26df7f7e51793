"""Provide what templates of the portal need."""
