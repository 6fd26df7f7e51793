"""Show the installation's staff which organisations exist, and let them read one by a reason."""

from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import services
from apps.accounts.selectors import organisation_for_staff, require_staff
from apps.accounts.selectors import organisations as organisations_of_all
from apps.base.addresses import client_address
from apps.console.access import read_at, session_id_of, staff_page
from apps.console.forms.faults import add_faults
from apps.console.forms.staff import AccessForm
from apps.console.views.parameters import number_of
from apps.operations.selectors import open_tasks_of
from apps.ui.sessions import user_id_of
from biolayer.errors import InvalidInput

PAGE = 50
MAX_WORDS = 100
MAX_PAGES = 10_000


@require_GET
@staff_page
def organisations(request: HttpRequest) -> HttpResponse:
    """Serve `GET /admin/organisations/`: which exist, and nothing of what is in them."""
    words = request.GET.get("q", "").replace("\0", "").strip()[:MAX_WORDS]
    page = min(number_of(request.GET.get("page", "")) or 1, MAX_PAGES)
    rows = organisations_of_all(user=request.user, words=words)  # type: ignore[arg-type]
    found = list(rows[(page - 1) * PAGE : page * PAGE + 1])
    shown = found[:PAGE]
    counts = open_tasks_of([one.id for one in shown])
    context = {
        "organisations": [(one, counts.get(one.id, 0)) for one in shown],
        "words": words,
        "previous": page - 1,
        "following": page + 1 if len(found) > PAGE else 0,
    }
    return render(request, "console/staff/organisations.html", context)


@transaction.non_atomic_requests
@require_http_methods(["GET", "HEAD", "POST"])
@staff_page
def open_access(request: HttpRequest, organisation_id: UUID) -> HttpResponse:
    """Serve `/admin/organisations/<id>/read/`: the reason, and for how long."""
    organisation = organisation_for_staff(
        user=request.user,  # type: ignore[arg-type]
        organisation_id=organisation_id,
    )
    form = AccessForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _open(request, organisation_id, form):
        messages.success(request, gettext("You can read this organisation. Its admins were told."))
        return redirect("admin:board")
    return render(request, "console/staff/open.html", {"organisation": organisation, "form": form})


@transaction.non_atomic_requests
@require_POST
@staff_page
def close_access(request: HttpRequest) -> HttpResponse:
    """Serve `POST /admin/organisations/close/`."""
    require_staff(request.user)
    services.close_access(
        user_id=user_id_of(request),
        session_id=session_id_of(request),
        address=str(client_address(request) or ""),
        at=read_at(request),
    )
    messages.success(request, gettext("You read no organisation any more."))
    return redirect("admin:staff_organisations")


def _open(request: HttpRequest, organisation_id: UUID, form: AccessForm) -> bool:
    try:
        services.open_access(
            user_id=user_id_of(request),
            session_id=session_id_of(request),
            organisation_id=organisation_id,
            address=str(client_address(request) or ""),
            at=read_at(request),
            **form.cleaned_data,
        )
    except InvalidInput as error:
        add_faults(form, error, {"/reason": "reason", "/minutes": "minutes"})
        return False
    return True
