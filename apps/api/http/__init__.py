"""Provide what every HTTP API needs: authentication, limits, errors, pages and idempotency."""
