"""Make the Django admin the console: its lists, beside pages of our own, for members."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, include, path

from apps.console.access import list_page


class ConsoleSite(admin.AdminSite):
    """Serve the lists of the models that our apps register, and the pages of `urls.py`.

    The admin's own sign-in, password, history and delete pages have no address here.
    """

    enable_nav_sidebar = False

    def get_urls(self) -> list[URLPattern | URLResolver]:
        load_admins()
        pages = import_module("apps.console.urls").urlpatterns
        lists = [
            path(f"{model._meta.app_label}/{model._meta.model_name}/", include(registered.urls))
            for model, registered in self._registry.items()
        ]
        return [*pages, *lists]

    def has_permission(self, request: HttpRequest) -> bool:
        return hasattr(request, "actor")

    def admin_view(
        self,
        view: Callable[..., Any],
        cacheable: bool = False,  # noqa: FBT001, FBT002 - the admin's signature
    ) -> Any:
        return list_page(view)

    def each_context(self, request: Any) -> dict[str, Any]:
        """Return nothing: the templates have their own frame."""
        return {}


def load_admins() -> None:
    """Import `admin.py` of each of our apps, once the addresses are needed.

    Other packages register models there, too, which must not be changed past our services.
    """
    for config in apps.get_app_configs():
        name = f"{config.name}.admin"
        if config.name.startswith("apps.") and find_spec(name):
            import_module(name)
