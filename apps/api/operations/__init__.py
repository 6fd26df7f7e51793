"""Serve `/api`, for operators and agents: its own errors and conventions, on the same kernel."""
