"""A server that answers with whatever bytes a test gives it, however slowly."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CONTENT = bytes(hashlib.shake_256(b"weights").digest(5000))
DIGEST = hashlib.sha256(CONTENT).hexdigest()
DIGITS = b"9" * 6000

#: What one connection gets: bytes, or a function that sends them itself, until the event ends the test.
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


def answer(*headers: bytes, status: bytes = b"200 OK", body: bytes = CONTENT) -> bytes:
    """The bytes of an answer."""
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"Connection: close", b"", b""]) + body


def whole_answer(*headers: bytes) -> bytes:
    """An honest one with all of the content."""
    return answer(b"Content-Length: 5000", b'ETag: "a"', *headers)


_PIECES = (
    b"\xb2", b"-1", DIGITS, b"", b"\xff\xfe", b"\0", b"[::", b"bytes 0-1/2", b"chunked", b"gzip", b"0x10", b"1e5", b"nan", b"/x",
    b"http://", b"text/html", b'W/"x"', b"\x1b[31m", b"a" * 3000, b"5000", b"100", b"close", b"bytes 100-4999/5000",
)  # fmt: skip
_NAMES = (
    b"Content-Length", b"Content-Range", b"Location", b"Retry-After", b"ETag", b"Last-Modified", b"Content-Type",
    b"Transfer-Encoding", b"Content-Encoding", b"Connection", b"Set-Cookie", b"\xff", b"", b"A B",
)  # fmt: skip
_STATUS = (
    b"200 OK", b"206 Partial", b"302 Found", b"308 x", b"416 No", b"429 x", b"503 x", b"404 x", b"407 x", b"204 x", b"100 x",
)  # fmt: skip


def strange_answer(rng: random.Random) -> bytes:
    """A seeded answer: a status, some headers, and a body that may be cut."""
    headers = [rng.choice(_NAMES) + b": " + rng.choice(_PIECES) for _ in range(rng.randrange(5))]
    body = CONTENT[: rng.choice((0, 1, 100, 5000))]
    sent = bytearray(answer(*headers, status=rng.choice(_STATUS), body=body))
    for _ in range(rng.choice((0, 0, 1, 3))):
        sent[rng.randrange(min(len(sent), 200))] ^= 1 << rng.randrange(8)
    return bytes(sent)
