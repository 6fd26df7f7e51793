"""Manage Human-AI teams: pools whose agents work in windows, and whose members approve."""
