"""Let workers choose what they are told while no page is open, and in which browsers."""

from uuid import UUID

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.base import clock
from apps.notices import services
from apps.notices.selectors import own_devices, own_preference, worker_of_stop_token
from apps.notices.services import NoticeSettings, SendOutcome
from apps.pools.selectors import own_worker
from apps.portal.access import worker_page
from apps.portal.calls import JSON, refusal
from apps.ui.devices import device_name
from biolayer.errors import InvalidInput

PAUSES = (1, 5, 15, 30, 60, 120, 240)


@require_http_methods(["GET", "HEAD", "POST"])
@worker_page
def settings(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/portal/profile/notices/`."""
    preference = own_preference(actor)
    context = {
        "worker": own_worker(actor),
        "devices": list(own_devices(actor)),
        "push_key": services.public_push_key(),
        "pauses": PAUSES,
        "is_on": preference.is_on,
        # Others keep the choice, for the day on which their role allows it.
        "may_review": actor.has_role(Role.VIEWER),
    }
    if request.method != "POST":
        return render(request, "portal/notices.html", {**context, "chosen": preference})
    chosen = _sent_settings(request)
    try:
        language = get_language() or "en"
        services.save_settings(actor=actor, chosen=chosen, language=language, at=clock.now())
    except InvalidInput:
        context |= {"chosen": chosen, "has_problem": True}
        return render(request, "portal/notices.html", context)
    messages.success(request, gettext("Your choice is saved."))
    return redirect("portal_notices")


def _sent_settings(request: HttpRequest) -> NoticeSettings:
    form = request.POST
    pause = form.get("pause_minutes", "")
    return NoticeSettings(
        by_email="by_email" in form,
        offers="offers" in form,
        due_soon="due_soon" in form,
        messages="messages" in form,
        reviews="reviews" in form,
        quiet_from=form.get("quiet_from", ""),
        quiet_until=form.get("quiet_until", ""),
        pause_minutes=int(pause) if pause.isascii() and pause.isdigit() and len(pause) < 4 else 5,
    )


@require_POST
@worker_page
def test(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `POST /portal/profile/notices/test/`."""
    sent = services.send_test(actor=actor, at=clock.now())
    if sent is SendOutcome.NO_CHANNEL:
        messages.warning(request, gettext("Choose e-mail or a browser first."))
    else:
        messages.success(request, gettext("A test notice is on its way."))
    return redirect("portal_notices")


@require_POST
@worker_page
def add_device(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `POST /portal/profile/notices/devices/`, which the page's script calls."""
    try:
        subscription = orjson.loads(request.body)
        device = services.add_device(
            actor=actor,
            subscription=subscription,
            name=device_name(request.META.get("HTTP_USER_AGENT", "")),
            at=clock.now(),
        )
    except orjson.JSONDecodeError:
        return JsonResponse({"code": "malformed_json"}, status=400)
    except InvalidInput as error:
        faults = [{"pointer": fault.pointer, "code": fault.code} for fault in error.faults]
        return refusal(422, code=error.code, errors=faults)
    return JsonResponse({"device_id": str(device.id)}, status=201)


@require_POST
@worker_page
def remove_device(request: HttpRequest, actor: Principal, device_id: UUID) -> HttpResponse:
    """Serve `POST /portal/profile/notices/devices/{id}/remove/`."""
    services.remove_device(actor=actor, device_id=device_id)
    if request.headers.get("Accept") == JSON:
        return HttpResponse(status=204)
    messages.success(request, gettext("That browser shows no more notices."))
    return redirect("portal_notices")


@require_POST
@worker_page
def seen(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `POST /portal/seen/`: a page is visible. Return 200 where that is of no use: stop."""
    if not own_preference(actor).is_on:
        return JsonResponse({"again": False})
    services.mark_seen(actor=actor, at=clock.now())
    return HttpResponse(status=204)


# Mail programs send it without cookies (RFC 8058). The signed token is the permission.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def stop(request: HttpRequest, token: str) -> HttpResponse:
    """Serve `/portal/notices/stop/{token}/`. A GET changes nothing: mail scanners open links."""
    worker_id = worker_of_stop_token(token)
    if worker_id is None:
        return render(request, "portal/notices_stopped.html", {"is_unknown": True}, status=404)
    if request.method == "POST":
        services.stop_mails(worker_id=worker_id)
    is_done = request.method == "POST"
    return render(request, "portal/notices_stopped.html", {"is_done": is_done})
