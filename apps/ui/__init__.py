"""Serve the pages that people sign in with and manage their account on."""
