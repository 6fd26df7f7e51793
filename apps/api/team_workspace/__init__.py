"""Serve the team workspace: Human-AI teams, whose agents propose and whose people approve."""
