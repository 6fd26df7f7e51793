"""Make the paths of the portal's pages."""

from uuid import UUID

from django.urls import reverse


def run_path(run_id: UUID) -> str:
    """Return the path of the page on which a run is worked on."""
    return f"{reverse('portal_home')}runs/{run_id}/"
