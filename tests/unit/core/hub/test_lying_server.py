"""Whatever a server answers, a download ends with the right file or a named error, and takes bounded time and memory."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from deeplab_core.errors import AtrousError, DownloadError
from deeplab_core.hub import download
from deeplab_core.hub.published import is_file_name
from tests.lying_server import CONTENT, DIGEST, DIGITS, LyingServer, answer, lying, strange_answer
from tests.lying_server import whole_answer as whole

settings = import_module("deeplab_core.hub.download")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BACK_OFF", (0.0, 0.0, 0.0))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[LyingServer]:
    with lying() as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "net.pth"


MALFORMED_LOCATIONS = {
    "bracket": b"http://[::bad", "port": b"http://host:abc/x", "port too large": b"http://host:99999/x", "no host": b"http://",
    "non-latin host": b"http://h\xf6st\xff.example/", "blank": b"http://host/a b", "control": b"http://host/\x01",
    "long label": b"http://" + b"a" * 70 + b".example/", "empty": b"", "6000 digits": b"http://host:" + DIGITS + b"/",
    "dots": b"http://a..b/",
}  # fmt: skip


@pytest.mark.parametrize("location", MALFORMED_LOCATIONS.values(), ids=list(MALFORMED_LOCATIONS))
@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"])
def test_a_malformed_location_is_named(server: LyingServer, target: Path, location: bytes, status: bytes) -> None:
    server.answers = [answer(b"Location: " + location, status=status)]
    with pytest.raises(DownloadError, match=r"malformed Location") as caught:
        download(server.address + "/net.pth", target)
    assert len(str(caught.value)) < 1000
    assert len(server.seen) == 1
    assert not target.exists()


@pytest.mark.parametrize("location", [b"/f\xf6\xff", b"/%ff%00", b"//127.0.0.1:1/", b"?q=\xe9"])
def test_an_odd_location_is_followed_or_named(server: LyingServer, target: Path, location: bytes) -> None:
    server.answers = [answer(b"Location: " + location, status=b"302 Found"), whole()]
    with suppress(DownloadError):
        assert download(server.address + "/net.pth", target).sha256 == DIGEST


def test_the_body_of_a_redirect_is_not_read(server: LyingServer, target: Path) -> None:
    sent = []

    def endless(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(answer(b"Location: /there", status=b"302 Found", body=b""))
        with suppress(OSError):
            while not over.is_set():
                sent.append(connection.send(bytes(1 << 20)))

    server.answers = [endless, whole()]
    assert download(server.address + "/net.pth", target).sha256 == DIGEST
    assert sum(sent) < 64 << 20


LENGTHS = {"superscript": b"\xb2", "digits": DIGITS, "negative": b"-5", "word": b"many", "sum": b"5000+0", "hex": b"0x1388",
           "float": b"5e3", "two": b"5000, 5000", "underscore": b"5_000"}  # fmt: skip


@pytest.mark.parametrize("length", LENGTHS.values(), ids=list(LENGTHS))
def test_a_malformed_length_is_named(server: LyingServer, target: Path, length: bytes) -> None:
    server.answers = [answer(b"Content-Length: " + length)]
    with pytest.raises(DownloadError, match=r"malformed Content-Length") as caught:
        download(server.address + "/net.pth", target)
    assert len(str(caught.value)) < 1000
    assert not target.exists()


@pytest.mark.parametrize("length", [b"999999999999999999", b"9223372036854775807"])
def test_an_impossible_length_is_refused(server: LyingServer, target: Path, length: bytes) -> None:
    server.answers = [answer(b"Content-Length: " + length)]
    with pytest.raises(AtrousError):
        download(server.address + "/net.pth", target)
    assert not target.exists()


RANGES = {"superscript": b"bytes \xb2-4999/5000", "digits": b"bytes 100-" + DIGITS + b"/" + DIGITS, "word": b"all", "none": b"",
          "stars": b"bytes */*", "other": b"bytes 7-4999/5000", "negative": b"bytes -5-4999/5000"}  # fmt: skip


@pytest.mark.parametrize("place", RANGES.values(), ids=list(RANGES))
def test_a_malformed_range_is_never_joined(server: LyingServer, target: Path, place: bytes) -> None:
    part = answer(b"Content-Length: 4900", b"Content-Range: " + place, b'ETag: "a"', status=b"206 Partial", body=CONTENT[100:])
    server.answers = [whole()[: -len(CONTENT) + 100], part, whole()]
    assert download(server.address + "/net.pth", target).sha256 == DIGEST
    assert "Range: bytes=100-" in server.seen[1]
    assert "Range:" not in server.seen[2]


def test_a_range_that_stays_malformed_is_named(server: LyingServer, target: Path) -> None:
    server.answers = [answer(b"Content-Range: bytes \xb2-4/5", status=b"206 Partial")]
    with pytest.raises(DownloadError, match=r"malformed Content-Range"):
        download(server.address + "/net.pth", target)
    assert not target.exists()


@pytest.mark.parametrize("place", [b"bytes */\xb2", b"bytes */" + DIGITS, b"", b"bytes */*"])
def test_a_malformed_range_of_a_refusal_starts_over(server: LyingServer, target: Path, place: bytes) -> None:
    refusal = answer(b"Content-Range: " + place, b"Content-Length: 0", status=b"416 No", body=b"")
    server.answers = [whole()[: -len(CONTENT) + 100], refusal, whole()]
    assert download(server.address + "/net.pth", target).sha256 == DIGEST


WAITS = {"superscript": b"\xb2", "negative": b"-1", "word": b"soon", "date": b"Fri, 99 Foo 2026 99:99:99 GMT", "nan": b"nan",
         "year": b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}  # fmt: skip


@pytest.mark.parametrize("wait", WAITS.values(), ids=list(WAITS))
def test_a_malformed_wait_is_named_where_the_server_stays_busy(server: LyingServer, target: Path, wait: bytes) -> None:
    busy = answer(b"Retry-After: " + wait, status=b"503 Busy")
    server.answers = [busy, whole()]
    assert download(server.address + "/net.pth", target).sha256 == DIGEST
    server.answers = [busy]
    with pytest.raises(DownloadError, match=r"too busy.*Retry-After reads"):
        download(server.address + "/net.pth", target.with_name("b"))


def test_a_long_wait_is_cut_short(server: LyingServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(settings._Job, "_wait", lambda _job, seconds: waited.append(seconds))
    waits = [DIGITS, b"7", b"Wed, 21 Oct 2015 07:28:00 GMT", b"Wed, 21 Oct 2099 07:28:00 GMT", b"Wed, 21 Oct 2099 07:28:00"]
    for number, wait in enumerate(waits):
        server.answers = [answer(b"Retry-After: " + wait, status=b"429 Busy"), whole()]
        download(server.address + "/net.pth", target.with_name(str(number)))
    assert waited == [30.0, 7.0, 0.0, 30.0, 30.0]


@pytest.mark.parametrize("etag", [b'"a\xff"', b'"a\x01"', b'"' + b"x" * 3000 + b'"', b'"a"\r\n continued', b"\t"])
def test_a_validator_that_cannot_be_sent_back_is_not(server: LyingServer, target: Path, etag: bytes) -> None:
    first = answer(b"Content-Length: 5000", b"ETag: " + etag)
    server.answers = [first[: -len(CONTENT) + 100], first]
    assert download(server.address + "/net.pth", target).sha256 == DIGEST


MESSES = {
    "nothing": b"", "no status": b"\r\n\r\n", "status": b"HTTP/1.1 banana\r\n\r\n", "long line": b"HTTP/1.1 " + b"2" * 70000,
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n", "binary": bytes(range(256)) * 20,
    "status 999": answer(status=b"999 ?"), "status 199": answer(status=b"199 ?"), "negative status": answer(status=b"-20 ?"),
    "chunks": answer(b"Transfer-Encoding: chunked", body=b"zz\r\nabc"),
    "negative chunk": answer(b"Transfer-Encoding: chunked", body=b"-5\r\nabcde\r\n0\r\n\r\n"),
    "huge chunk": answer(b"Transfer-Encoding: chunked", body=b"f" * 6000 + b"\r\nabc"),
    "cut": whole()[:-1000], "page": answer(b"Content-Type: text/html", b"Content-Length: 5000"),
    "type": answer(b"Content-Type: \xff;;;=\xff", b"Content-Length: 10"), "loop": answer(b"Location: /net.pth", status=b"302 x"),
    "file": answer(b"Location: file:///etc/passwd", status=b"302 x"), "empty": answer(b"Content-Length: 0", body=b""),
}  # fmt: skip


@pytest.mark.parametrize("mess", MESSES.values(), ids=list(MESSES))
def test_no_answer_gives_a_wrong_file_or_an_unnamed_error(server: LyingServer, target: Path, mess: bytes) -> None:
    server.answers = [mess]
    with pytest.raises(DownloadError) as caught:
        download(server.address + "/net.pth", target, sha256_prefix=DIGEST)
    assert caught.value.remedy
    assert len(str(caught.value)) < 1500
    assert not target.exists()


def test_a_server_that_drips_is_given_up_and_gone_on_from(
    server: LyingServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(whole()[: -len(CONTENT)])
        for byte in CONTENT:
            connection.sendall(bytes([byte]))
            if over.wait(0.05):
                return

    monkeypatch.setattr(settings, "SLOW_FOR", 0.4)
    monkeypatch.setattr(settings, "SLOWEST", 1000.0)
    server.answers = [drip]
    with pytest.raises(DownloadError, match=r"is too slow.*bytes came in.*What came so far is kept") as caught:
        download(server.address + "/net.pth", target, silence=0.2)
    assert "127.0.0.1" in caught.value.what
    assert len(server.seen) == 1
    kept = target.with_name("net.pth.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    place = b"Content-Range: bytes %d-4999/5000" % kept
    server.answers = [answer(place, b'ETag: "a"', status=b"206 Partial", body=CONTENT[kept:])]
    fetched = download(server.address + "/net.pth", target, sha256_prefix=DIGEST)
    assert fetched.resumed_from == kept
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_headers_that_drip_are_given_up(
    server: LyingServer, target: Path, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    def drip(connection: socket.socket, over: threading.Event) -> None:
        while not over.wait(0.05):
            connection.sendall(beginning)

    monkeypatch.setattr(settings, "SLOW_FOR", 0.2)
    monkeypatch.setattr(settings, "PATIENCE", 0.5)
    server.answers = [drip]
    with pytest.raises(DownloadError, match=r"is too slow.*had not begun"):
        download(server.address + "/net.pth", target, silence=0.2)
    assert not target.exists()


def test_a_malformed_proxy_is_named(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("http://[::bad", "http://user:word@host:abc", f"http://host:{'9' * 5000}"):
        monkeypatch.setenv("http_proxy", value)
        with pytest.raises(DownloadError, match=r"proxy.*is malformed") as caught:
            download("http://models.example/net.pth", target)
        assert "word" not in str(caught.value)


@pytest.mark.parametrize("seed", range(6))
def test_seeded_answers(server: LyingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(settings._Job, "_wait", lambda _job, _seconds: None)
    rng = random.Random(seed)
    for number in range(15):
        target = tmp_path / f"{number}.pth"
        server.answers = [strange_answer(rng), strange_answer(rng), rng.choice((whole(), strange_answer(rng)))]
        sent = list(server.answers)
        error = None
        try:
            download(server.address + "/net.pth", target, sha256_prefix=DIGEST, silence=5)
        except AtrousError as named:
            error = named
        assert (error is None) == target.exists(), sent
        assert error is None or (error.what and len(str(error)) < 2000), sent
        assert error is not None or target.read_bytes() == CONTENT, sent


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "a/b", "x\\y.pth", "C:evil.pth", "a\0b", "a\n", " a", "a ", "a.", "con", "NUL.pth", "com1.tar.gz",
     "-a", "a" * 300, "\x1b[31m", "ä.pth", "a:b", "a?", "a*", "a|b", "<a>"],
)  # fmt: skip
def test_names_that_leave_a_folder_are_none(name: str) -> None:
    assert not is_file_name(name)


@pytest.mark.parametrize("name", ["net.pth", "a-b_c.1.tar.gz", "x", "DeepLab v3+.pth", "console.pth"])
def test_plain_names_are_names(name: str) -> None:
    assert is_file_name(name)
