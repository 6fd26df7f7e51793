"""Serve the form by which a worker appeals a verdict on its work."""

from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST
from pydantic import ValidationError

from apps.accounts.principal import Principal
from apps.portal.access import read_at, worker_page
from apps.reviews import services
from apps.reviews.selectors import own_verdicts
from apps.tasks import selectors
from biolayer.errors import AlreadyAppealed, Conflict, NotFound, Unavailable
from biolayer.requests.appeals import NewAppeal


@require_POST
@transaction.non_atomic_requests
@worker_page
def appeal(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    """Serve `POST /portal/runs/{run_id}/appeal`."""
    at = read_at(request)
    run = selectors.work(actor=actor, run_id=run_id, at=at).run
    verdict = own_verdicts(actor=actor, runs=[run]).get(run_id)
    if verdict is None:
        raise NotFound("review")
    try:
        body = NewAppeal(reason=request.POST.get("reason", "").replace("\r\n", "\n"))
        services.open_appeal(actor=actor, review_id=verdict.id, reason=body.reason, at=at)
    except ValidationError:
        messages.error(request, gettext("Say why the verdict is wrong, in at most 4,000 letters."))
    except AlreadyAppealed:
        messages.info(request, gettext("You appealed this verdict before."))
    except Conflict:
        messages.error(request, gettext("This verdict can no longer be appealed."))
    except Unavailable:
        messages.error(request, gettext("The service is not available at the moment"))
    else:
        messages.success(request, gettext("Your appeal was sent. A manager will decide."))
    return redirect("portal_run", run_id)
