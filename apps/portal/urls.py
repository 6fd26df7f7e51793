"""Route the pages under `/portal/`."""

from django.urls import URLPattern, URLResolver, path

from apps.portal.views import home

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="portal_home"),
]
