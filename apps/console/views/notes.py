"""Write notes to the members of a pool, and delete them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.console.access import console_page, read_at
from apps.console.forms.faults import add_faults
from apps.console.forms.notes import NoteForm
from apps.pools import selectors, services
from biolayer.errors import InvalidInput, NotFound, PoolClosed

MAX_LISTED = 5


def latest_notes(actor: Principal, pool_id: UUID) -> list[Any]:
    """Return the newest notes of a pool, expired ones too."""
    return list(selectors.pool_notes(actor=actor, pool_id=pool_id)[:MAX_LISTED])


@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def note_new(request: HttpRequest, actor: Principal, pool_id: UUID) -> HttpResponse:
    """Serve `/admin/pools/pool/<id>/note/`."""
    pool = selectors.pool(actor=actor, pool_id=pool_id, scope=Scope.POOLS_MANAGE)
    form = NoteForm(request.POST or None)
    if (
        request.method == "POST"
        and form.is_valid()
        and _is_posted(actor, pool.id, form, read_at(request))
    ):
        messages.success(request, gettext("The members see your note."))
        return redirect("admin:pool", pool.id)
    return render(request, "console/pools/note.html", {"pool": pool, "form": form, "forms": [form]})


def _is_posted(actor: Principal, pool_id: UUID, form: NoteForm, at: datetime) -> bool:
    try:
        with transaction.atomic():
            services.post_note(actor=actor, pool_id=pool_id, document=form.document(at), at=at)
    except InvalidInput as error:
        add_faults(form, error, {"/expires_at": "lasts"})
    except PoolClosed:
        form.add_error(None, gettext("The pool is closed, and is kept as it is."))
    return not form.errors


@require_POST
@console_page
def note_delete(
    request: HttpRequest, actor: Principal, pool_id: UUID, note_id: UUID
) -> HttpResponse:
    """Serve `POST /admin/pools/pool/<id>/note/<id>/delete/`."""
    selectors.pool(actor=actor, pool_id=pool_id, scope=Scope.POOLS_MANAGE)
    try:
        with transaction.atomic():
            services.delete_note(actor=actor, pool_id=pool_id, note_id=note_id, at=read_at(request))
    except NotFound:
        messages.warning(request, gettext("The note was deleted meanwhile."))
    else:
        messages.success(request, gettext("The note is deleted: it is shown no more."))
    return redirect("admin:pool", pool_id)
