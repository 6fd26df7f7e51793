"""Verify submissions."""
