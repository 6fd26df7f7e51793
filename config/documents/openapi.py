"""Generate `docs/openapi.json`, which `GET /v1/openapi.json` serves."""

from apps.api.v1.document import openapi
from config.documents.text import pretty


def page() -> str:
    return pretty(openapi())
