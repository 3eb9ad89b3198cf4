"""`python -m config.embedded`, which is `make up`: one clear line for whatever keeps the stack from starting."""

import argparse
import os
import sys

from config.embedded import home, postgres, processes, stack, supervisor, valkey

_ANTICIPATED = (
    home.BrokenHome,
    stack.BadSetting,
    postgres.CannotServe,
    valkey.NoBinary,
    processes.NeverReady,
    supervisor.CannotStart,
)


def main() -> int:
    """Run the stack until a signal asks it to stop. Returns the exit code."""
    argparse.ArgumentParser(prog="make up", description=stack.__doc__).parse_args()
    try:
        stack.Stack(os.environ, say=_say).run()
    except _ANTICIPATED as trouble:
        return _refuse(str(trouble))
    except OSError as broken:  # no disk, no memory, a home that vanished
        return _refuse(f"{broken.filename or 'the system'}: {broken.strerror or broken}")
    return 0


def _say(text: str) -> None:
    """Tell whoever listens; a terminal that was closed is no reason to stop."""
    try:
        print(f"waybill: {text}", flush=True)  # noqa: T201 - this is a command's output
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would fail on what is left to say


def _refuse(text: str) -> int:
    print(f"waybill: {text}", file=sys.stderr, flush=True)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
