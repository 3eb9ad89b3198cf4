"""One whole Waybill on this machine, under one supervisor.

In: the environment (`WAYBILL_HOME`, `PORT`; `DATABASE_URL`, `BROKER_URL`, `CACHE_URL` replace the embedded servers).
Out: a running stack, until a signal asks it to stop.
Called by `python -m config.embedded`, which is `make up`.
"""

import errno
import http.client
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from config.embedded import home, parts, postgres, processes, supervisor, valkey, welcome

ROOT = Path(__file__).resolve().parent.parent.parent
_HOST = "127.0.0.1"  # a demo client with a known secret is not for the neighbours
_READY_WITHIN = 60.0
_FURNISHED_WITHIN = 300.0
_WORK_STOPS_WITHIN, _FOUNDATION_STOPS_WITHIN = 10.0, 3.0  # 15 s in all are promised
_WORKER_GRACE = "8"
_MARK = "WAYBILL_STACK"


class BadSetting(Exception):
    """A variable of the environment can't be used."""


class Stack:
    """Everything of one home: what runs, with which environment, in which order."""

    def __init__(self, environment: Mapping[str, str], *, say: Callable[[str], None]) -> None:
        """Take the home and the port. Raises BadSetting, BrokenHome."""
        self._outer = environment
        self._say = say
        self.port = _read_port(environment.get("PORT") or "8000")
        self.home = home.Home(Path(environment.get("WAYBILL_HOME") or ROOT / ".waybill"))
        self._mark = f"{_MARK}={self.home.kept.id}"
        supervisor.end_marked(self._mark)  # of a supervisor that was killed
        _try_port(self.port)
        self.home.keep_free_ports()
        self._supervisor = supervisor.Supervisor(say)

    def run(self) -> None:
        """Start everything in order, say where it is, keep it running, stop it. Raises CannotStart, CannotServe."""
        self._say(f"starting in {self.home.directory}, port {self.port}")
        try:
            self._start_foundation()
            self._furnish()
            self._start_work()
            self._say(welcome.text(port=self.port, home=self.home.directory, demo=self._embeds("DATABASE_URL")))
            self._supervisor.keep_running()
        except supervisor.StopAsked:
            pass
        finally:
            self._supervisor.stop(within=_WORK_STOPS_WITHIN, foundation_within=_FOUNDATION_STOPS_WITHIN)
            supervisor.end_marked(self._mark)
        self._say("stopped")

    def _embeds(self, variable: str) -> bool:
        return not self._outer.get(variable)

    @property
    def _embeds_valkey(self) -> bool:
        return self._embeds("BROKER_URL") or (
            self._embeds("CACHE_URL") and not self._outer["BROKER_URL"].startswith(("redis", "valkey"))
        )

    def _start_foundation(self) -> None:
        kept = self.home.kept
        answering: list[Callable[[], bool]] = []
        if self._embeds_valkey:
            self._begin_valkey()
            answering.append(lambda: valkey.answers(password=kept.valkey_password, port=kept.valkey_port))
        if self._embeds("DATABASE_URL"):
            self._begin_postgres()
            answering.append(lambda: postgres.answers(password=kept.postgres_password, port=kept.postgres_port))
        self._supervisor.wait_until(
            lambda: all(answers() for answers in answering), what="the database and broker", within=_READY_WITHIN
        )
        if self._embeds("DATABASE_URL"):
            postgres.create_database(password=kept.postgres_password, port=kept.postgres_port)

    def _begin_valkey(self) -> None:
        kept, log = self.home.kept, self.home.log("valkey")
        self._begin(
            "valkey",
            lambda: valkey.start(
                self.home.directory / "valkey", password=kept.valkey_password, port=kept.valkey_port, log=log
            ),
            foundation=True,
        )

    def _begin_postgres(self) -> None:
        place = postgres.find_place(self.home.directory / "postgres", spare=self.home.spare)
        if postgres.initialise(place, password=self.home.kept.postgres_password):
            self.home.keep(furnished_for="")  # new data: nothing of the old is in it
        port, log = self.home.kept.postgres_port, self.home.log("postgres")
        self._begin("postgres", lambda: postgres.start(place, port=port, log=log), foundation=True)

    def _furnish(self) -> None:
        """Migrate; with our own database also make what a visitor tries things with, once."""
        self.home.write_stack(self._stack_environment())
        arguments = ["-m", "config.embedded.furnish"]
        address, before = f"http://{_HOST}:{self.home.kept.sandbox_port}", self.home.kept.furnished_for
        if self._embeds("DATABASE_URL") and not before:
            arguments += ["--demo", address]
        elif self._embeds("DATABASE_URL") and before != address:
            arguments += ["--moved", before, address]
        self._supervisor.run_to_end(self._part("furnish", arguments, role="command"), within=_FURNISHED_WITHIN)
        if self._embeds("DATABASE_URL"):
            self.home.keep(furnished_for=address)

    def _start_work(self) -> None:
        self._begin_python("web", parts.WEB, "--host", _HOST, "--port", str(self.port), role="web")
        for number in range(1, parts.WORKERS + 1):
            self._begin_python(f"worker-{number}", parts.WORKER, "-n", f"worker-{number}@%h", role="worker")
        self._begin_python("beat", parts.BEAT, "--schedule", str(self.home.directory / "beat-schedule"), role="beat")
        if self._embeds("DATABASE_URL"):
            port = str(self.home.kept.sandbox_port)
            self._begin_python("sandbox", parts.SANDBOX, "--host", _HOST, "--port", port, role="", foundation=True)
        self._supervisor.wait_until(self._is_ready, what="Waybill", within=_READY_WITHIN)

    def _begin_python(
        self, name: str, command: tuple[str, ...], *arguments: str, role: str, foundation: bool = False
    ) -> None:
        self._supervisor.begin(self._part(name, ["-m", *command, *arguments], role=role, foundation=foundation))

    def _begin(self, name: str, start: Callable[[], processes.Child], *, foundation: bool) -> None:
        self._supervisor.begin(supervisor.Part(name=name, log=self.home.log(name), start=start, foundation=foundation))

    def _part(self, name: str, arguments: list[str], *, role: str, foundation: bool = False) -> supervisor.Part:
        environment = self._part_environment(role)
        log = self.home.log(name)
        return supervisor.Part(
            name=name,
            log=log,
            start=lambda: processes.start(
                [sys.executable, *arguments], environment=environment, log=log, directory=ROOT
            ),
            foundation=foundation,
        )

    def _part_environment(self, role: str) -> dict[str, str]:
        environment = {**self._outer, **self._stack_environment(), "WAYBILL_HOME": str(self.home.directory)}
        environment.setdefault("WAYBILL_GRACE", _WORKER_GRACE)
        environment |= {"PYTHONUNBUFFERED": "1", _MARK: self.home.kept.id}
        if role:
            environment["WAYBILL_ROLE"] = role
        return environment

    def _stack_environment(self) -> dict[str, str]:
        """Return what a command needs to join this stack; `stack.env` holds it."""
        kept = self.home.kept
        settings = {name: value for name, value in self._outer.items() if name.startswith("WAYBILL_")}
        settings.pop("WAYBILL_HOME", None)
        settings.pop("WAYBILL_ROLE", None)
        broker = self._outer.get("BROKER_URL") or valkey.url(password=kept.valkey_password, port=kept.valkey_port)
        cache = valkey.url(password=kept.valkey_password, port=kept.valkey_port, database=1)
        return settings | {
            "SECRET_KEY": self._outer.get("SECRET_KEY") or kept.secret_key,
            "DATABASE_URL": self._outer.get("DATABASE_URL")
            or postgres.url(password=kept.postgres_password, port=kept.postgres_port),
            "BROKER_URL": broker,
            "CACHE_URL": self._outer.get("CACHE_URL") or (cache if self._embeds_valkey else broker),
            "PORT": str(self.port),
        }

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(_HOST, self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _try_port(port: int) -> None:
    try:
        processes.listen_once(port, host=_HOST)
    except OSError as refused:
        if refused.errno == errno.EADDRINUSE:
            raise BadSetting(f"port {port} is in use: choose another, as in `make up PORT={port + 1}`") from None
        raise BadSetting(f"can't listen on port {port}: {refused.strerror}") from None


def _read_port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise BadSetting(f"PORT must be a number from 1 to 65535, not {text!r}")
    return int(text)
