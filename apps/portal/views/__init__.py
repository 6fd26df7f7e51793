"""Serve the pages of workers."""
