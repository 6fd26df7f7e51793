"""Serve the HTTP APIs."""
