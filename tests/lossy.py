"""A line to PostgreSQL that breaks when a certain statement passes: before it arrives, or before its answer does."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


class Line:
    """A TCP proxy in front of the test's PostgreSQL. `lost`: how often it broke."""

    def __init__(self, *, target: tuple[str, int], lose: bytes, lose_answer_to: bytes, then_refuse: bool) -> None:
        self.lost = 0
        self._target = target
        self._lose = lose
        self._lose_answer_to = lose_answer_to
        self._then_refuse = then_refuse
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(self._target) as server:
                self._carry(client, server)
            if self.lost and self._then_refuse:
                self._listener.close()
                return

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Carry one connection's bytes both ways until an end closes, or the line breaks (once)."""
        answer_is_lost = False
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ)
            ready.register(server, selectors.EVENT_READ)
            while True:
                for event, _ in ready.select():
                    data = event.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    from_client = event.fileobj is client
                    if not self.lost and from_client and self._lose and self._lose in data:
                        self.lost += 1
                        return
                    if from_client and self._lose_answer_to and self._lose_answer_to in data:
                        answer_is_lost = not self.lost
                    if not data or (answer_is_lost and not from_client):
                        self.lost += answer_is_lost
                        return
                    (server if from_client else client).sendall(data)


@contextmanager
def proxy(*, lose: bytes = b"", lose_answer_to: bytes = b"", then_refuse: bool = False) -> Iterator[Line]:
    """Let this thread's connection go over a line that breaks at the first statement that contains the given bytes."""
    settings = dict(connection.settings_dict)
    target = (settings["HOST"], int(settings["PORT"]))
    line = Line(target=target, lose=lose, lose_answer_to=lose_answer_to, then_refuse=then_refuse)
    connection.close()
    connection.settings_dict |= {"HOST": "127.0.0.1", "PORT": line.port}
    try:
        yield line
    finally:
        connection.close()
        connection.settings_dict |= {"HOST": settings["HOST"], "PORT": settings["PORT"]}
        line.close()
