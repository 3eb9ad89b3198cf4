"""`make audit`: known weaknesses of the locked dependencies, and how many of them were looked up at all.

In: requirements.lock, and what pip-audit finds about it. Out: exit code 0 only when every package was looked up and
none has a known weakness. pip-audit alone also says that all is well when the index knows none of them.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ("-m", "pip_audit", "--require-hashes", "--progress-spinner", "off", "--format", "json", "-r")


def main() -> int:
    """Ask, and say what came of it."""
    asked = subprocess.run(
        [sys.executable, *COMMAND, str(ROOT / "requirements.lock")], capture_output=True, text=True, check=False
    )
    try:
        packages: list[dict[str, Any]] = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(asked.stderr.strip() or "pip-audit said nothing")
        print("audited: nothing")
        return 2
    weak = [package for package in packages if package.get("vulns")]
    unknown = [package for package in packages if "skip_reason" in package]
    for line in (*map(describe, weak), *(f"not audited: {package['skip_reason']}" for package in unknown)):
        print(line)
    print(f"audited: {len(packages) - len(unknown)} of {len(packages)} packages, {len(weak)} with known weaknesses")
    return 1 if weak or unknown or not packages else 0


def describe(package: dict[str, Any]) -> str:
    """Name a package's weaknesses, and the versions without them."""
    told = (f"{one['id']} (mended in {', '.join(one['fix_versions']) or 'no version'})" for one in package["vulns"])
    return f"{package['name']} {package['version']}: {'; '.join(told)}"


if __name__ == "__main__":
    sys.exit(main())
