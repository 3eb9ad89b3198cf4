"""`make check`: everything that can be said about the code without running it. All checks run; one line tells of each.

In: the working tree. Out: exit code 0 when all pass. Called by `make check`, by `.ci/run`, and by hand.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ("config", "orchestrator", "tracking", "orders", "manage.py")
OPENAPI = ROOT / "docs" / "openapi.yaml"
NO_SERVERS = {  # the settings want these; no check connects anywhere
    "SECRET_KEY": "only-for-checks-and-long-enough-to-be-taken-for-a-real-one-by-deploy-checks",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "WAYBILL_BEHIND_TLS": "true",  # as it is deployed
}
CHECKS = {
    "format": ("-m", "ruff", "format", "--check", "."),
    "lint": ("-m", "ruff", "check", "."),
    "types": ("-m", "mypy", *SOURCE),
    "imports": (str(Path(sys.executable).with_name("lint-imports")),),
    "migrations": ("-W", "ignore", "manage.py", "makemigrations", "--check", "--dry-run"),
    "deployment": ("manage.py", "check", "--deploy", "--fail-level", "WARNING"),
    "dependencies": ("-m", "deptry", "--no-ansi", "."),
}


def main() -> int:
    """Run every check; return how many failed."""
    environment = {**os.environ, **NO_SERVERS}
    failed = [name for name, command in CHECKS.items() if not _passes(name, command, environment)]
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory) / "openapi.yaml"
        command = ("manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", str(fresh))
        if not _passes("OpenAPI", command, environment):
            failed.append("OpenAPI")
        elif not OPENAPI.exists() or fresh.read_bytes() != OPENAPI.read_bytes():
            print(f"{OPENAPI.relative_to(ROOT)} is stale: write it anew with `manage.py spectacular --file`")
            failed.append("OpenAPI is stale")
    print("failed: " + ", ".join(failed) if failed else "all checks passed", flush=True)
    return len(failed)


def _passes(name: str, command: tuple[str, ...], environment: dict[str, str]) -> bool:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    print(f"{'ok  ' if done.returncode == 0 else 'FAIL'}  {name} ({time.monotonic() - began:.1f} s)", flush=True)
    if done.returncode:
        print(done.stdout + done.stderr, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
