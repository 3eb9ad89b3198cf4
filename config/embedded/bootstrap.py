"""Make `.venv` from a lock, then become the command: the first step of every make target.

In: the lock's name, and the arguments for the virtual environment's Python. Out: this process becomes that command.
Called by the Makefile with the machine's own Python: nothing but the standard library, nothing newer than 3.8.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INCLUDED_IN = {"requirements.lock": ("requirements.lock", "requirements-test.lock"), "requirements-test.lock": ()}
LOWEST = (3, 11)


class CannotBuild(Exception):
    """The virtual environment can't be made."""


def main() -> None:
    """Make what is missing, then become the command."""
    lock, command = sys.argv[1], sys.argv[2:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends pip as well: see _run
    try:
        _check_python()
        fcntl.flock(os.open(ROOT, os.O_RDONLY), fcntl.LOCK_EX)  # one at a time; released by exec
        if not _is_installed(lock):
            _install(lock)
        os.chdir(ROOT)
        os.execv(PYTHON, [str(PYTHON), *command])  # noqa: S606 - no shell is meant
    except CannotBuild as trouble:
        sys.exit(f"waybill: {trouble}")
    except OSError as broken:
        sys.exit(f"waybill: {broken.filename or ROOT}: {broken.strerror or broken}")
    except KeyboardInterrupt:
        sys.exit(130)


def _check_python() -> None:
    if sys.version_info < LOWEST:
        raise CannotBuild(
            f"Python {LOWEST[0]}.{LOWEST[1]} or newer is needed, {sys.executable} is {sys.version.split()[0]}"
        )
    for module in ("venv", "ensurepip"):
        try:
            __import__(module)
        except ImportError:
            raise CannotBuild(f"Python has no {module}: install Debian's package python3-venv") from None


def _is_installed(lock: str) -> bool:
    """Look for the stamp of an installation; what the larger lock installed serves the smaller one too."""
    return PYTHON.exists() and any(_stamp(candidate).exists() for candidate in (lock, *INCLUDED_IN[lock]))


def _stamp(lock: str) -> Path:
    known = hashlib.sha256((ROOT / lock).read_bytes() + sys.version.encode()).hexdigest()[:16]
    return VENV / f"installed-{lock}-{known}"


def _install(lock: str) -> None:
    print(f"waybill: installing {lock} into .venv (only when it has changed)", flush=True)  # noqa: T201
    if not _works():
        _run("making .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)])
    _run(
        f"installing {lock}",
        [
            *(str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(ROOT / lock)),
        ],
    )
    _stamp(lock).touch()


def _works() -> bool:
    """Whether there is a virtual environment whose pip runs: an interrupted one has none."""
    if not PYTHON.exists():
        return False
    return subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _run(what: str, command: "list[str]") -> None:
    """Run to the end; a signal to us ends the child as well. Raises CannotBuild with the line that tells why."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = child.communicate()
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.returncode:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        raise CannotBuild(f"{what} failed: {(errors or lines or ['it said nothing'])[-1]}")


if __name__ == "__main__":
    main()
