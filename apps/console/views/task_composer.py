"""Serve the composer of tasks: an editor of the contract, with the service's own check."""

import json
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import id_of
from apps.console.access import console_page, read_at
from apps.console.composer.checking import Checked, checked, curl_command, parsed, problems_of
from apps.console.composer.contracts import contract_of, example, open_pools
from apps.tasks import services
from apps.tasks.selectors import task
from biolayer.errors import BioLayerError, Unavailable


@require_http_methods(["GET", "POST"])
@transaction.non_atomic_requests
@console_page
def new(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/tasks/new/`: an example, or the contract of the task `copy`; create on POST."""
    actor.require(Scope.TASKS_CREATE)
    if request.method == "GET":
        pools = open_pools(actor)
        document, pool = _first(request, actor, pools)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        return _page(request, actor, text, pools=pools, pool=pool)
    text = _text(request)
    found = parsed(text)
    if found.problems:
        return _page(request, actor, text, found=found)
    try:
        created = services.create_task(actor=actor, document=found.document, at=read_at(request))
    except Unavailable:
        raise
    except BioLayerError as error:
        refused = Checked(found.document, problems_of(error, text))
        return _page(request, actor, text, found=refused)
    return redirect("admin:task", created.task.id)


@require_POST
@transaction.non_atomic_requests
@console_page
def check(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `POST /admin/tasks/new/check`: the problems of the text, and its call for a shell."""
    actor.require(Scope.TASKS_CREATE)
    text = _text(request)
    found = checked(actor=actor, text=text, at=read_at(request))
    return render(request, "console/tasks/check.html", _result(text, found))


def _page(
    request: HttpRequest,
    actor: Principal,
    text: str,
    *,
    found: Checked | None = None,
    pools: Any = None,
    pool: Any = None,
) -> HttpResponse:
    was_refused = found is not None
    found = found or checked(actor=actor, text=text, at=read_at(request))
    context = {
        "text": text,
        "pools": open_pools(actor) if pools is None else pools,
        "pool": pool,
        "was_refused": was_refused,
        **_result(text, found),
    }
    return render(request, "console/tasks/new.html", context)


def _result(text: str, found: Checked) -> dict[str, Any]:
    return {"problems": found.problems, "curl": curl_command(settings.BASE_URL, text)}


def _first(request: HttpRequest, actor: Principal, pools: Any) -> tuple[dict[str, Any], Any]:
    """Return the contract to begin with, and the pool that it is for. Raise `NotFound`."""
    copied = id_of(request.GET.get("copy", ""))
    if copied is not None:
        return contract_of(task(actor=actor, task_id=copied)), None
    chosen = id_of(request.GET.get("pool", ""))
    pool = next((one for one in pools if one.id == chosen), pools[0] if pools else None)
    return example(actor, pool), pool


def _text(request: HttpRequest) -> str:
    # A browser sends the ends of lines as CR LF.
    return request.POST.get("text", "").replace("\r\n", "\n")
