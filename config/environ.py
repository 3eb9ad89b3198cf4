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
    environ = {**_SERVERS_OWN, **_of_headers(headers), **_of_scope(scope)}
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = BytesIO(body)
    if waited:
        environ[waiting.WAITS_UNTIL] = waited.deadline
    return environ


_SERVERS_OWN: dict[str, Any] = {
    waiting.CAN_WAIT: True,
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def _of_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the headers as variables. The body's length is that of what was read, however it was sent."""
    variables = {f"HTTP_{_variable(name)}": value.decode("latin-1") for name, value in headers.items()}
    variables["CONTENT_TYPE"] = variables.pop("HTTP_CONTENT_TYPE", "")
    for replaced in ("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):
        variables.pop(replaced, None)
    return variables


def _of_scope(scope: Mapping[str, Any]) -> dict[str, str]:
    server, port = scope.get("server") or ("unknown", 0)
    client, client_port = scope.get("client") or ("", 0)
    return {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client,
        "REMOTE_PORT": str(client_port),
        "wsgi.url_scheme": scope["scheme"],
    }


def _variable(name: bytes) -> str:
    return name.decode("latin-1").upper().replace("-", "_")
