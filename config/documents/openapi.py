"""Generate the OpenAPI documents, which the APIs serve."""

from apps.api.operations import document as operations
from apps.api.team_workspace import document as team_workspace
from apps.api.v1.document import openapi
from config.documents.text import pretty


def page() -> str:
    return pretty(openapi())


def team_workspace_page() -> str:
    return pretty(team_workspace.openapi())


def operations_page() -> str:
    return pretty(operations.openapi())
