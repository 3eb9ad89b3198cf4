"""A second web server beside the stack's own, with other settings: same database, same workers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.contract import stack
from tests.waiting import eventually


@contextmanager
def beside(running: stack.Stack, **settings: str) -> Iterator[str]:
    """Start it, wait until it is ready, give its address, stop it."""
    port = stack.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--no-ws", "--log-level", "warning"]
    with (running.home / f"web-{port}.out").open("w") as log:
        server = subprocess.Popen(
            [*command, "config.asgi:application", "--host", "127.0.0.1", "--port", str(port)],
            cwd=stack.ROOT,
            env={**stack.environment(home=running.home, port=port), "WAYBILL_ROLE": "web", **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: stack.status(f"{url}/readyz") == 200, within=60, what="the second web server")
        yield url
    finally:
        server.terminate()
        server.wait(30)
