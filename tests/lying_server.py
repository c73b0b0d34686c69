"""A server that answers with whatever bytes a test gives it, however slowly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

#: What one connection gets: bytes, or a function that sends them itself, until the event says that the test is over.
Answer = bytes | Callable[[socket.socket, threading.Event], None]


@dataclass
class LyingServer:
    """Answers the connections in turn; the last answer is given to all further ones.

    Attributes:
        answers: what to send.
        seen: heads of the requests, as text.
    """

    address: str = ""
    answers: list[Answer] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def reply(self, connection: socket.socket) -> None:
        """Read a request and answer it."""
        with connection, suppress(OSError):
            connection.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head and (block := connection.recv(65536)):
                head += block
            self.seen.append(head.decode("latin-1"))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                connection.sendall(answer)
            else:
                answer(connection, self.over)


@contextmanager
def lying() -> Iterator[LyingServer]:
    """Run a server until the block ends."""
    server = LyingServer()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        threads: list[threading.Thread] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _peer = listening.accept()
                    thread = threading.Thread(target=server.reply, args=(connection,), daemon=True)
                    threads.append(thread)
                    thread.start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            server.over.set()
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            for thread in (accepting, *threads):
                thread.join(10)
