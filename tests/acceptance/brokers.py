"""Redis and RabbitMQ from Debian's packages, each on a port of its own: they may be killed, and come back empty."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis
from amqp import Connection
from amqp.exceptions import AMQPError

from config.embedded import processes, valkey
from tests import servers
from tests.waiting import eventually

_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in PATH insists on the package's own user and places
_BOOT_WITHIN = 90.0


@dataclass
class Redis:
    """`redis-server`, told what `docker-compose.yml` tells it."""

    directory: Path
    port: int
    child: processes.Child | None = None

    @property
    def url(self) -> str:
        return valkey.url(password=servers.PASSWORD, port=self.port)

    @property
    def cache_url(self) -> str:
        return valkey.url(password=servers.PASSWORD, port=self.port, database=1)

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", servers.PASSWORD]
        self.child = processes.start(
            [*command, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"],
            environment={"PATH": os.environ["PATH"]},
            log=self.directory / "redis.log",
            directory=self.directory,
        )
        eventually(self.answers, within=_BOOT_WITHIN, what="Redis's answer")

    def answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client, suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    def kill(self) -> None:
        """kill -9: nothing of it is kept."""
        if self.child:
            self.child.end()

    def close(self) -> None:
        self.kill()


@dataclass
class RabbitMQ:
    """`rabbitmq-server` with data, name and ports of its own. There is no cache: each wake-up is published."""

    directory: Path
    port: int
    child: processes.Child | None = None
    cache_url: str = ""
    names: processes.Child | None = None
    names_port: int = field(default_factory=processes.free_port)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        self.names = self.names or self._run("epmd", "-port", str(self.names_port), "-address", "127.0.0.1")
        self.child = self._run(_RABBITMQ)
        eventually(self.answers, within=_BOOT_WITHIN, what="RabbitMQ's answer")

    def _run(self, *command: str) -> processes.Child:
        log = self.directory / f"{Path(command[0]).name}.log"
        return processes.start(list(command), environment=self._environment(), log=log, directory=self.directory)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),  # Erlang's cookie is made there
            "RABBITMQ_NODENAME": f"waybill-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(processes.free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "ERL_EPMD_PORT": str(self.names_port),
        }

    def answers(self) -> bool:
        with (
            suppress(OSError, AMQPError),
            Connection(f"127.0.0.1:{self.port}", userid="guest", password="guest", connect_timeout=1),
        ):
            return True
        return False

    def kill(self) -> None:
        """End the whole group: Erlang's helpers would live on."""
        if self.child:
            self.child.end()

    def close(self) -> None:
        """End the directory of Erlang nodes, too: by itself the first server would have left it behind as a daemon."""
        self.kill()
        if self.names:
            self.names.end()


KINDS = {"redis": Redis, "rabbitmq": RabbitMQ}


@contextmanager
def running(kind: str) -> Iterator[Redis | RabbitMQ]:
    """A broker of that kind, started."""
    with tempfile.TemporaryDirectory(prefix="waybill-broker-", ignore_cleanup_errors=True) as directory:
        broker = KINDS[kind](Path(directory), processes.free_port())
        try:
            broker.start()
            yield broker
        finally:
            broker.close()
