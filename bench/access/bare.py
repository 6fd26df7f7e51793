"""The service without rate limits and authentication."""

from bench.access.without import application_without

application = application_without("limits", "authentication")
