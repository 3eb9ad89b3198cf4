"""The worker process's one event loop, in a thread of its own: it owns the HTTP client.

In: functions to run on the loop. Out: nothing; calls report for themselves. Called by the worker process and by calls.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from orchestrator import backends


class CallLoop:
    """An event loop that runs in the background until it is closed."""

    def __init__(self) -> None:
        """Make the loop; it runs from `start`."""
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="calls", daemon=True)

    def start(self) -> None:
        """Run the loop, and open the HTTP client in it."""
        self._thread.start()
        self._submit(self._open()).result()

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Run a function on the loop, from any thread."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Hold a task until it ends: the loop itself only refers to it weakly."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def finish(self, *, timeout: float) -> None:
        """Let calls in flight end within `timeout` seconds; break off those that don't."""
        self._submit(self._finish(timeout)).result()

    def close(self) -> None:
        """Close the HTTP client and end the loop."""
        self._submit(backends.close_clients()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _open(self) -> None:
        backends.open_client()

    async def _finish(self, timeout: float) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.copy(), timeout=max(timeout, 0))
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _submit(self, coroutine: Coroutine[Any, Any, None]) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()
