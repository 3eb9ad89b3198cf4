"""What a stack needs before it opens: tables, and on the first start something to try.

In: the stack's environment; with `--demo SANDBOX_URL` the demo client and the sandbox's message types are made,
with `--moved OLD NEW` types that still point at the sandbox's old address follow it.
Called by `stack.py`, as a process of its own.
"""

import argparse

import django
from django.core.management import call_command

from config.embedded import parts, sandbox


def main() -> None:
    """Furnish the stack that the environment names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--demo", metavar="SANDBOX_URL")
    parser.add_argument("--moved", nargs=2, metavar=("OLD", "NEW"))
    arguments = parser.parse_args()
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    if arguments.demo:
        _make_demo(arguments.demo)
    if arguments.moved:
        _follow_sandbox(*arguments.moved)


def _make_demo(sandbox_url: str) -> None:
    """Make what a visitor tries things with: a client and an administrator that may do all, back ends, accesses."""
    _make_administrator()
    call_command("client", parts.DEMO_CLIENT, "--secret", parts.DEMO_SECRET)
    call_command("access", *parts.DEMO_ACCESSES, "--service", *parts.DEMO_SERVICES)
    for message_type in sandbox.TYPES:
        call_command("backend", message_type, "--url", f"{sandbox_url}/{message_type}")


def _make_administrator() -> None:
    from django.contrib.auth.models import User  # noqa: PLC0415 - Django is set up only now

    if not User.objects.filter(username=parts.DEMO_ADMIN).exists():
        User.objects.create_superuser(parts.DEMO_ADMIN, password=parts.DEMO_SECRET)


def _follow_sandbox(old: str, new: str) -> None:
    """Keep what an operator changed: only an address that is still the sandbox's own is set anew."""
    from orchestrator.models import Backend  # noqa: PLC0415 - Django is set up only now

    for backend in Backend.objects.filter(url__startswith=f"{old}/"):
        backend.url = new + backend.url.removeprefix(old)
        backend.save(update_fields=["url", "updated_at"])


if __name__ == "__main__":
    main()
