"""The engine's own paths: tokens, health, schema."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
