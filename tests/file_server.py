"""A server of files that behaves well or badly, on a thread of the test: ranges, none, truncation, silence, other answers."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_TLS = Path(__file__).parent / "data" / "tls"
#: The certificate that signs itself; its key is public, so it is good for these tests and nothing else.
AUTHORITY = _TLS / "server.crt"
#: Of the repositories that :func:`publish` makes.
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FileServer:
    """What it serves and how; tests change the attributes between requests.

    Attributes:
        files: path -> content.
        ranges: whether ``Range`` is honoured.
        etag, modified: validators; empty ones are not sent.
        stop_after: bytes of the body after which a connection is cut, one entry for each request in turn.
        status: answers this instead, one entry for each request in turn.
        redirects: path -> address.
        hang_after: byte of the file before which it falls silent until the server ends; None never.
        length: whether the length is said beforehand.
        headers: further headers of every answer.
        address: of the server, without a slash at its end.
        over: set when the server ends.
        seen: (path, Range header, If-Range header) of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    etag: str = '"one"'
    modified: str = ""
    stop_after: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    hang_after: int | None = None
    length: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    address: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        """Address of a path, which begins with a slash."""
        return self.address + path


class _Handler(BaseHTTPRequestHandler):
    behaviour: FileServer

    def do_GET(self) -> None:
        server = self.behaviour
        asked, only_if = self.headers.get("Range", ""), self.headers.get("If-Range", "")
        server.seen.append((self.path, asked, only_if))
        if self.path in server.redirects:
            self._answer(302, {"Location": server.redirects[self.path], "Content-Length": "0"})
            return
        status = server.status.pop(0) if server.status else 0
        content = server.files.get(self.path)
        if status or content is None:
            self._answer(status or 404, {"Content-Length": "0", **server.headers})
            return
        headers = {"Content-Type": "application/octet-stream", **server.headers}
        if server.etag:
            headers["ETag"] = server.etag
        if server.modified:
            headers["Last-Modified"] = server.modified
        place = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        start, end = 0, len(content)
        if server.ranges and place and only_if in ("", server.etag, server.modified):
            start = int(place[1])
            if start >= len(content):
                self._answer(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
                return
            end = min(end, int(place[2]) + 1) if place[2] else end
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        body = content[start:end]
        if server.length:
            headers["Content-Length"] = str(len(body))
        self._answer(206 if start or end < len(content) else 200, headers)
        stop = server.stop_after.pop(0) if server.stop_after else len(body)
        if server.hang_after is not None:
            self.wfile.write(content[start : server.hang_after])
            self.wfile.flush()
            server.over.wait(20)
            return
        self.wfile.write(body[:stop])
        self.wfile.flush()

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        """A client that hangs up is what many of these tests are about."""


@contextmanager
def serving(*, protected: bool = False) -> Iterator[FileServer]:
    """Run a server until the block ends; a protected one shows a certificate that only :data:`AUTHORITY` vouches for."""
    behaviour = FileServer()
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    server = _Server(("127.0.0.1", 0), handler)
    behaviour.address = f"http{'s' if protected else ''}://127.0.0.1:{server.server_port}"
    if protected:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_TLS / "server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield behaviour
    finally:
        behaviour.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def publish(server: FileServer, repository: str, files: dict[str, bytes], *, licence: str = "mit", sha256: str = "") -> None:
    """Serve a repository as the Hugging Face Hub does; ``sha256`` is what it states of its weights instead of the truth."""
    siblings = []
    for name, content in files.items():
        server.files[f"/{repository}/resolve/{COMMIT}/{name}"] = content
        row: dict[str, object] = {"rfilename": name, "size": len(content)}
        if not name.endswith(".json"):
            digest = sha256 or hashlib.sha256(content).hexdigest()
            row["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
        siblings.append(row)
    answer = {
        "_id": "1", "id": repository, "modelId": repository, "sha": COMMIT, "private": False, "gated": False,
        "tags": [f"license:{licence}"], "cardData": {"license": licence}, "siblings": siblings,
    }  # fmt: skip
    text = json.dumps(answer).encode()
    for place in ("", "/revision/main"):
        server.files[f"/api/models/{repository}{place}?blobs=true"] = server.files[f"/api/models/{repository}{place}"] = text
