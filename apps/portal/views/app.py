"""Serve what makes the portal an app on a phone: manifest, service worker, offline page.

None of them needs a session: a browser reads them without cookies, or before a person signs in.
"""

from functools import cache

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET

BACKGROUND, THEME = "#f6f7f9", "#1f5fbf"


@require_GET
@cache_control(max_age=3600)
def manifest(request: HttpRequest) -> HttpResponse:
    """Serve `GET /portal/manifest.webmanifest` (W3C, Web Application Manifest)."""
    home = reverse("portal_home")
    icons = [
        {
            "src": static(f"portal/icon-{size}.png"),
            "sizes": f"{size}x{size}",
            "type": "image/png",
            "purpose": purpose,
        }
        for size in (192, 512)
        for purpose in ("any", "maskable")
    ]
    document = {
        "id": home,
        "name": gettext("BioLayer work"),
        "short_name": "BioLayer",
        "start_url": home,
        "scope": home,
        "display": "standalone",
        "background_color": BACKGROUND,
        "theme_color": THEME,
        "icons": icons,
    }
    return JsonResponse(document, content_type="application/manifest+json")


@require_GET
@cache_control(no_cache=True)
def service_worker(request: HttpRequest) -> HttpResponse:
    """Serve `GET /portal/sw.js`: under this path its scope is the portal."""
    return HttpResponse(_script(), content_type="text/javascript")


@cache
def _script() -> str:
    path = finders.find("portal/sw.js")
    assert isinstance(path, str)
    with open(path, encoding="utf-8") as file:
        return file.read()


@require_GET
@cache_control(max_age=3600)
def offline(request: HttpRequest) -> HttpResponse:
    """Serve `GET /portal/offline/`, which the service worker shows without a network."""
    return render(request, "portal/offline.html")
