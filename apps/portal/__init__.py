"""Serve the pages on which workers see their offers and do their tasks, under `/portal/`."""
