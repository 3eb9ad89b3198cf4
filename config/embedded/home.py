"""`$WAYBILL_HOME`: everything that `make up` keeps.

In: a directory. Out: its lock, generated secrets and ports, logs, and `stack.env` for commands that join the stack.
Called by `stack.py`.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from config.embedded import processes

_SPARE_ROOT = Path("/var/lib/waybill")
_ROTATE_LOG_AT = 20 * 1024 * 1024


class BrokenHome(Exception):
    """The home can't be used."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a home keeps from one start to the next: `kept.json`, mode 600."""

    id: str
    secret_key: str
    postgres_password: str
    valkey_password: str
    postgres_port: int
    valkey_port: int
    sandbox_port: int
    furnished_for: str = ""  # the sandbox's address that the message types were made with; empty: not furnished yet


class Home:
    """A locked home. Two supervisors never share one: the lock is held as long as this object's process lives."""

    def __init__(self, directory: Path) -> None:
        """Make the directory unless it is there, lock it, read what it keeps. Raises BrokenHome."""
        self.directory = directory.absolute()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_lock()
            self.logs.mkdir(exist_ok=True)
            self.kept = self._read_or_make()
        except OSError as broken:
            raise BrokenHome(f"can't use {self.directory}: {broken.strerror or broken}") from broken

    def release(self) -> None:
        """Give the lock back; the kernel does it when the process ends."""
        os.close(self._lock)

    @property
    def logs(self) -> Path:
        """Where each part's output goes."""
        return self.directory / "logs"

    @property
    def spare(self) -> Path:
        """Where data lives that PostgreSQL's user can't reach here; by a random id, so a new home finds no old data."""
        return _SPARE_ROOT / self.kept.id

    def log(self, part: str) -> Path:
        """Return a part's log file; one that has grown large is set aside first."""
        path = self.logs / f"{part}.log"
        if path.exists() and path.stat().st_size > _ROTATE_LOG_AT:
            path.replace(path.with_suffix(".log.1"))
        return path

    def keep(self, **changes: int | str) -> None:
        """Change what is kept, on disk at once."""
        self.kept = replace(self.kept, **changes)  # type: ignore[arg-type]
        self._write("kept.json", json.dumps(asdict(self.kept), indent=1))

    def keep_free_ports(self) -> None:
        """Keep the ports of the last start, but for those that somebody else took meanwhile."""
        for name in ("postgres_port", "valkey_port", "sandbox_port"):
            if not processes.port_is_free(getattr(self.kept, name)):
                self.keep(**{name: processes.free_port()})

    def write_stack(self, environment: Mapping[str, str]) -> None:
        """Write `stack.env`, by which `manage.py` joins the stack; quoted, so that nothing in it is expanded."""
        lines = [f"{name}={_quote(value)}\n" for name, value in sorted(environment.items())]
        self._write("stack.env", "".join(lines))

    def _take_lock(self) -> int:
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
            raise BrokenHome(f"another stack is running in {self.directory} (process {owner})") from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        return lock

    def _read_or_make(self) -> Kept:
        path = self.directory / "kept.json"
        if not path.exists():
            self.kept = _make()
            self.keep()
            return self.kept
        try:
            return Kept(**json.loads(path.read_text()))
        except (ValueError, TypeError) as broken:
            raise BrokenHome(f"{path} is not what make up wrote: {broken}") from broken

    def _write(self, name: str, text: str) -> None:
        """Write a file that only its owner reads, whole or not at all."""
        path = self.directory / name
        fresh = path.with_name(f".{name}.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


def _quote(value: str) -> str:
    """Quote for python-dotenv, which expands `${…}` even within single quotes: the dollar is made a default value."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("${", "${WAYBILL_DOLLAR:-$}{") + "'"


def _make() -> Kept:
    return Kept(
        id=secrets.token_hex(16),
        secret_key=secrets.token_urlsafe(48),
        postgres_password=secrets.token_hex(24),
        valkey_password=secrets.token_hex(24),
        postgres_port=processes.free_port(),
        valkey_port=processes.free_port(),
        sandbox_port=processes.free_port(),
    )
