"""The clients: they hand work in through every door, with and without keys, and note every answer.

In: a running stack. Out: lines of the journal. Called by the run, one task a client and part.
"""

import asyncio
import json
import random
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import httpx2

from chaos import doors, furnish, journal
from chaos.doors import Submission
from chaos.journal import Journal

_PATIENCE = 15.0
_TRIES = 6


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status 0 when nothing did. `body` is parsed JSON, None when there is none."""

    status: int
    body: Any
    headers: dict[str, str]
    began: float
    ended: float

    @property
    def times(self) -> dict[str, float]:
        return {"began": self.began, "ended": self.ended}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission that was answered with 2xx, and what is needed to follow it."""

    client: str
    door: str
    request_id: str
    cookie: str = ""
    order: str = ""


@dataclass
class World:
    """What all tasks of a run share."""

    journal: Journal
    chance: random.Random
    accepted: deque[Accepted] = field(default_factory=lambda: deque(maxlen=3000))
    services: set[tuple[str, str]] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    pace: float = 0.25

    async def pause(self, most: float) -> None:
        await asyncio.sleep(self.chance.uniform(0, most))

    def choose(self, *, of: str | None = None, but: str | None = None) -> Accepted | None:
        """Some accepted submission: of one client, or of another than one."""
        for _ in range(20):
            if not self.accepted:
                return None
            found = self.chance.choice(self.accepted)
            if (of is None or found.client == of) and found.client != but:
                return found
        return None


class Client:
    """One client of the API."""

    def __init__(self, name: str, *, url: str, world: World) -> None:
        self.name = name
        self.world = world
        self._http = httpx2.AsyncClient(
            base_url=url,
            auth=httpx2.BasicAuth(name, furnish.secret_of(name)),
            timeout=_PATIENCE,
            trust_env=False,
            limits=httpx2.Limits(max_connections=64, max_keepalive_connections=16),
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **more: Any
    ) -> Reply:
        began = journal.now()
        content = {} if body is None else {"json": body}
        try:
            answer = await self._http.request(method, path, headers=headers, **content, **more)
            self._http.cookies.clear()  # a phone's cookie is sent where it belongs, and nowhere else
            parsed = json.loads(answer.content) if answer.content else None
        except (httpx2.HTTPError, ValueError):
            return Reply(0, None, {}, began, journal.now())
        known = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status_code, parsed, known, began, journal.now())

    # ------------------------------------------------------------ handing in

    async def keep_submitting(self) -> None:
        chance = self.world.chance
        while not self.world.over.is_set():
            await self.world.pause(2 * self.world.pace)
            submission = doors.make(chance)
            key = uuid.UUID(int=chance.getrandbits(128)).hex if chance.random() < 0.6 else None
            accepted = await self._submit_until_answered(submission, key)
            if accepted and key and chance.random() < 0.3:
                await self._submit(submission, key)  # it has had its answer, and asks again
            if accepted and key and chance.random() < 0.2:
                await self._submit(doors.make_other(submission), key, variant="other")
            if accepted and submission.door in {"requests", "messages"} and chance.random() < 0.25:
                await self.world.pause(0.8)
                await self._cancel(accepted.request_id)
            if accepted and submission.door == "services":
                await self._drive_service(accepted.request_id)

    async def _submit_until_answered(self, submission: Submission, key: str | None) -> Accepted | None:
        """As a good client does: with a key it asks again until it knows; without one it hardly dares."""
        for _ in range(_TRIES):
            reply, accepted = await self._submit(submission, key)
            known = 0 < reply.status < 500 and reply.status not in {409, 429}
            if known or self.world.over.is_set() or (key is None and self.world.chance.random() < 0.7):
                return accepted
            await self.world.pause(1.5)
        return None

    async def _submit(
        self, submission: Submission, key: str | None, *, variant: str = "first"
    ) -> tuple[Reply, Accepted | None]:
        """Hand in once, and write down what came of it; `variant`: `other` sends the key with another value."""
        headers = {**submission.headers, **({"Idempotency-Key": key} if key else {})}
        reply = await self.call("POST", submission.path, submission.body, headers=headers)
        request_id = reply.headers.get("request-id") if 200 <= reply.status < 300 else None
        self.world.journal.note(
            "answer",
            client=self.name,
            door=submission.door,
            mark=submission.mark,
            key=key,
            variant=variant,
            count=submission.count,
            status=reply.status,
            request=request_id,
            replayed=reply.headers.get("idempotent-replayed") == "true",
            **reply.times,
        )
        if request_id is None or variant == "other":
            return reply, None
        return reply, self._take(submission, request_id, reply)

    def _take(self, submission: Submission, request_id: str, reply: Reply) -> Accepted:
        """Let all clients know what was accepted."""
        accepted = Accepted(
            self.name,
            submission.door,
            request_id,
            cookie=reply.headers.get("set-cookie", "").partition(";")[0],
            order=(reply.body or {}).get("path", "") if submission.door == "orders" else "",
        )
        if submission.door == "services":
            self.world.services.add((self.name, request_id))
        self.world.accepted.append(accepted)
        return accepted

    async def _cancel(self, request_id: str) -> None:
        reply = await self.call("POST", f"/api/v1/requests/{request_id}/cancel")
        self._note_step("cancel", request_id, reply)

    async def _drive_service(self, service_id: str) -> None:
        """Begin states and an external task, pass on, sometimes end."""
        path = f"/services/{service_id}"
        for step, body in (
            ("states/start", {"state_type": 1}),
            ("tasks/start", {"task_type": "visit", "state_id": 0}),
            ("states/transition", {"from": {"state_id": 0}, "to": {"state_type": 2}}),
        ):
            reply = await self.call("POST", f"{path}/{step}", body)
            self._note_step(step, service_id, reply)
            if reply.status != 201:
                return  # each step stands on the one before
        if self.world.chance.random() < 0.5:
            await self.end_service(service_id)

    async def end_service(self, service_id: str) -> bool:
        """Tell whether it has ended now, or had ended before."""
        reply = await self.call("POST", f"/services/{service_id}/end", {})
        self._note_step("end", service_id, reply)
        if reply.status in {204, 409}:
            self.world.services.discard((self.name, service_id))
        return reply.status in {204, 409}

    def _note_step(self, step: str, request_id: str, reply: Reply) -> None:
        kind = "cancel" if step == "cancel" else "step"
        self.world.journal.note(
            kind, client=self.name, step=step, request=request_id, status=reply.status, **reply.times
        )
