"""Telling others what happened: destinations, deliveries, attempts."""
