"""Deliver events to webhooks: destinations, deliveries, attempts, recoveries, keys."""
