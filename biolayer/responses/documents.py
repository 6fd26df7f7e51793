"""Define the response of `GET /v1/openapi.json`."""

from biolayer.events.envelope import OpenModel


class OpenApiDocument(OpenModel):
    """An OpenAPI 3.1 document."""

    openapi: str
