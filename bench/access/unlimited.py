"""The service without rate limits."""

from bench.access.without import application_without

application = application_without("limits")
