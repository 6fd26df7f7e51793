"""Show a worker's offers and active work."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.principal import Principal
from apps.pools.selectors import own_worker
from apps.portal.access import worker_page


@require_GET
@worker_page
def home(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /portal/`."""
    return render(request, "portal/home.html", {"worker": own_worker(actor)})
