from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.urls import path

from orchestrator.models import Request


def read(request: HttpRequest, key: UUID) -> JsonResponse:
    return JsonResponse(Request.objects.values("id", "open", "total").get(pk=key))


urlpatterns = [path("<uuid:key>", read)]
