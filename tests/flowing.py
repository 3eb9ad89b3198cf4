"""Services driven without a door, by the engine's own functions."""

import uuid

from orchestrator import accounts, flows, idempotency
from orchestrator.changes import Call
from orchestrator.idempotency import Answer
from orchestrator.models import Request, State, Task
from orchestrator.stages import SERVICE, Beginning, Ending, Kind, Owner, Stage

DONE = Answer(status=204, body=b"")
FIRST = Stage(Kind.STATE, 0)


def _numbered(number: int) -> Answer:
    return Answer(status=201, body=str(number).encode())


def begin(account: accounts.Account, *, states: int = 0, key: idempotency.Key | None = None) -> Call:
    answer = flows.start_service(
        Beginning(type="100"),
        owner=Owner(customer_id='"51X"', contact_key=None),
        client_id=account.id,
        key=key,
        answer=lambda service_id: Answer(status=201, body=service_id.hex.encode()),
    )
    call = Call(client_id=account.id, service_id=uuid.UUID(answer.body.decode()))
    for _ in range(states):
        start_state(call)
    return call


def start_state(call: Call) -> int:
    return int(flows.start_state(call, Beginning(type="1"), previous=None, answer=_numbered).body)


def start_task(call: Call, state: int | None = None) -> int:
    return int(flows.start_task(call, Beginning(type="5"), state=state, answer=_numbered).body)


def transition(call: Call, source: int = 0) -> int:
    return int(flows.transition(call, Ending(), Beginning(type="2"), source=source, answer=_numbered).body)


def end(call: Call, stage: Stage = SERVICE) -> None:
    flows.end(call, stage, Ending(), answer=DONE)


def states_of(call: Call) -> list[State]:
    return list(State.objects.filter(request_id=call.service_id).order_by("number"))


def assert_over(call: Call) -> None:
    """A service that was ended has nothing open in it."""
    request = Request.objects.get(id=call.service_id)
    assert request.completed_at is not None
    assert request.open == 0
    assert not any(state.completed_at is None for state in states_of(call))
    assert not Task.objects.filter(request=request, completed_at=None).exists()
