"""Serve the pages that allauth does not have."""
