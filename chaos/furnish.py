"""What a run needs in its stack: two clients and a stranger, the types that its back end carries out, accesses.

In: the back end's address. Out: rows, by the same commands as an operator's. A process of its own, joined to the stack.
"""

import sys

import django
from django.core.management import call_command

from chaos import doors

CLIENTS = ("alpha", "beta")
STRANGER = "stranger"
TYPES = ("Called", "Order")
_MOST_IN_FLIGHT = "200"


def secret_of(client: str) -> str:
    return f"the secret of {client}, for chaos only"


def main(url: str) -> None:
    django.setup()
    for name in (*CLIENTS, STRANGER):
        call_command("client", name, "--secret", secret_of(name), "--max-in-flight", _MOST_IN_FLIGHT)
    for name in TYPES:
        call_command("backend", name, "--url", url, "--timeout", "4", "--attempts", "50")
    call_command("access", *doors.ACCESSES, "--service", *(f"{name}:{name[:2]}" for name in doors.SERVICES))


if __name__ == "__main__":
    main(sys.argv[1])
