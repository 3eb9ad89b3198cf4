"""The API's description: `/api/schema` for machines, `/api/docs` and `/api/redoc` for people, without the network.

In: nothing. Out: OpenAPI 3.1 as JSON (YAML on demand), and two pages whose scripts are files of our own server.
"""

from functools import cache

from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema

from orchestrator.api.window import WindowView

_SIDECAR = "drf_spectacular_sidecar"
_SWAGGER = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Waybill API</title>
<link rel="icon" href="{icon}">
<link rel="stylesheet" href="{style}">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{bundle}"></script>
<script src="{start}"></script>
</body>
</html>
"""
_REDOC = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Waybill API</title>
<link rel="icon" href="{icon}">
</head>
<body>
<redoc spec-url="/api/schema"></redoc>
<script src="{bundle}"></script>
</body>
</html>
"""


class SchemaView(WindowView):
    """GET /api/schema."""

    @extend_schema(exclude=True)
    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer with the OpenAPI document."""
        if request.GET.get("format") == "yaml" or "yaml" in request.META.get("HTTP_ACCEPT", ""):
            return HttpResponse(_document("yaml"), content_type="application/vnd.oai.openapi; charset=utf-8")
        return HttpResponse(_document("json"), content_type="application/json")


class SwaggerView(WindowView):
    """GET /api/docs."""

    @extend_schema(exclude=True)
    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - Django's signature
        """Answer with Swagger UI."""
        page = _SWAGGER.format(
            icon=static(f"{_SIDECAR}/swagger-ui-dist/favicon-32x32.png"),
            style=static(f"{_SIDECAR}/swagger-ui-dist/swagger-ui.css"),
            bundle=static(f"{_SIDECAR}/swagger-ui-dist/swagger-ui-bundle.js"),
            start=static("orchestrator/swagger.js"),
        )
        return HttpResponse(page)


class RedocView(WindowView):
    """GET /api/redoc."""

    @extend_schema(exclude=True)
    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002
        """Answer with Redoc."""
        page = _REDOC.format(
            icon=static(f"{_SIDECAR}/swagger-ui-dist/favicon-32x32.png"),
            bundle=static(f"{_SIDECAR}/redoc/bundles/redoc.standalone.js"),
        )
        return HttpResponse(page)


@cache
def _document(kind: str) -> bytes:
    """Generate the document once: code does not change while the process runs."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    renderer = OpenApiYamlRenderer() if kind == "yaml" else OpenApiJsonRenderer()
    rendered: bytes = renderer.render(schema, renderer_context={})
    return rendered
