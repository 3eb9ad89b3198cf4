"""A call's WSGI environment, made of what the ASGI server says of it.

In: the server's scope, its headers, the body. Out: the dictionary that Django's handler reads. Called by the bridge.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from orchestrator.api import waiting


def join_headers(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Put repeated headers together (RFC 9110 §5.3). Names with `_` could pose as others in WSGI: dropped."""
    joined: dict[bytes, bytes] = {}
    for name, value in pairs:
        if b"_" in name:
            continue
        glue = b"; " if name == b"cookie" else b","
        joined[name] = joined[name] + glue + value if name in joined else value
    return joined


def build(
    scope: Mapping[str, Any], headers: Mapping[bytes, bytes], body: bytes, *, waited: waiting.Later | None = None
) -> dict[str, Any]:
    """Build the WSGI environment (PEP 3333): text in it is bytes, decoded as Latin-1."""
    server, port = scope.get("server") or ("unknown", 0)
    client, client_port = scope.get("client") or ("", 0)
    environ = {f"HTTP_{_variable(name)}": value.decode("latin-1") for name, value in headers.items()}
    content_type = environ.pop("HTTP_CONTENT_TYPE", "")
    for replaced in ("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):
        environ.pop(replaced, None)
    kept = {waiting.WAITS_UNTIL: waited.deadline} if waited else {}
    return (
        environ
        | kept
        | {
            waiting.CAN_WAIT: True,
            "REQUEST_METHOD": scope["method"],
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
            "QUERY_STRING": scope["query_string"].decode("latin-1"),
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": server,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
            "REMOTE_ADDR": client,
            "REMOTE_PORT": str(client_port),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scope["scheme"],
            "wsgi.input": BytesIO(body),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
    )


def _variable(name: bytes) -> str:
    return name.decode("latin-1").upper().replace("-", "_")
