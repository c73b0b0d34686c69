"""Downloads survive what networks do, and never give a wrong file its name."""

from __future__ import annotations

import errno
import hashlib
import io
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPMessage
from importlib import import_module
from pathlib import Path
from urllib.request import Request

import pytest

from deeplab_core.errors import Cancelled, DownloadError, StorageError
from deeplab_core.hub import DownloadProgress, download
from deeplab_core.hub.connection import _Redirects
from tests.file_server import AUTHORITY, FileServer, serving

#: The module; the package's name for it is the function.
settings = import_module("deeplab_core.hub.download")

CONTENT = bytes(hashlib.shake_256(b"weights").digest(3_000_000))
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BACK_OFF", (0.0, 0.0, 0.0))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files["/net.pth"] = CONTENT
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "net.pth"


def leave_part(server: FileServer, target: Path, size: int) -> None:
    """Let an earlier try break off after ``size`` bytes."""
    server.stop_after = [size, 0, 0, 0]
    with pytest.raises(DownloadError):
        download(server.url("/net.pth"), target)
    assert target.with_name("net.pth.part").stat().st_size == size
    server.seen.clear()


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def test_a_file_comes_whole_with_its_digest_and_progress(server: FileServer, target: Path) -> None:
    told: list[DownloadProgress] = []
    fetched = download(server.url("/net.pth"), target, sha256_prefix=DIGEST[:8], progress=told.append)
    assert target.read_bytes() == CONTENT
    assert (fetched.size, fetched.sha256, fetched.resumed_from) == (len(CONTENT), DIGEST, 0)
    assert told[-1] == DownloadProgress(len(CONTENT), len(CONTENT))
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert leftovers(target) == []


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server: FileServer, target: Path) -> None:
    server.stop_after = [1_000_000, 500_000]
    fetched = download(server.url("/net.pth"), target)
    assert target.read_bytes() == CONTENT
    assert [asked for _, asked, _ in server.seen] == ["", "bytes=1000000-", "bytes=1500000-"]
    assert server.seen[1][2] == '"one"'
    assert fetched.sha256 == DIGEST


def test_the_next_run_goes_on_from_what_is_there(server: FileServer, target: Path) -> None:
    leave_part(server, target, 1_200_000)
    fetched = download(server.url("/net.pth"), target)
    assert target.read_bytes() == CONTENT
    assert fetched.resumed_from == 1_200_000
    assert server.seen == [("/net.pth", "bytes=1200000-", '"one"')]


def test_a_server_without_ranges_starts_again(server: FileServer, target: Path) -> None:
    leave_part(server, target, 1_200_000)
    server.ranges = False
    download(server.url("/net.pth"), target)
    assert target.read_bytes() == CONTENT


def test_a_file_that_changed_is_not_joined_with_the_old_one(server: FileServer, target: Path) -> None:
    leave_part(server, target, 1_200_000)
    server.files["/net.pth"], server.etag = CONTENT[::-1], '"two"'
    download(server.url("/net.pth"), target)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_date_replaces_a_missing_etag(server: FileServer, target: Path) -> None:
    server.etag, server.modified = "", "Wed, 21 Oct 2020 07:28:00 GMT"
    leave_part(server, target, 700_000)
    download(server.url("/net.pth"), target)
    assert server.seen == [("/net.pth", "bytes=700000-", server.modified)]
    assert target.read_bytes() == CONTENT


def test_without_validator_or_checksum_nothing_is_joined(server: FileServer, target: Path) -> None:
    server.etag = ""
    leave_part(server, target, 700_000)
    download(server.url("/net.pth"), target)
    assert server.seen == [("/net.pth", "", "")]
    assert target.read_bytes() == CONTENT


def test_a_weak_etag_is_no_reason_to_join(server: FileServer, target: Path) -> None:
    server.etag = 'W/"one"'
    leave_part(server, target, 700_000)
    download(server.url("/net.pth"), target)
    assert server.seen == [("/net.pth", "", "")]


def test_a_part_that_was_damaged_on_disk_is_fetched_again(server: FileServer, target: Path) -> None:
    leave_part(server, target, 1_200_000)
    part = target.with_name("net.pth.part")
    part.write_bytes(b"\0" * 1_200_000)
    download(server.url("/net.pth"), target, sha256_prefix=DIGEST[:8])
    assert target.read_bytes() == CONTENT
    assert [asked for _, asked, _ in server.seen] == ["bytes=1200000-", ""]


def test_a_part_of_another_address_is_not_used(server: FileServer, target: Path) -> None:
    leave_part(server, target, 1_200_000)
    server.files["/other.pth"] = CONTENT[::-1]
    download(server.url("/other.pth"), target)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_part_that_is_all_there_only_needs_its_name(server: FileServer, target: Path) -> None:
    leave_part(server, target, 1_200_000)
    target.with_name("net.pth.part").write_bytes(CONTENT)
    assert download(server.url("/net.pth"), target).sha256 == DIGEST


def test_a_wrong_checksum_leaves_no_file(server: FileServer, target: Path) -> None:
    with pytest.raises(DownloadError, match="not the published file.*begins with " + DIGEST[:8]):
        download(server.url("/net.pth"), target, sha256_prefix="00000000")
    assert not target.exists()
    assert leftovers(target) == []


def test_a_file_that_is_there_stays_when_its_replacement_fails(server: FileServer, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    with pytest.raises(DownloadError):
        download(server.url("/net.pth"), target, sha256_prefix="00000000")
    assert target.read_bytes() == b"mine"


def test_redirects_are_followed(server: FileServer, target: Path) -> None:
    server.redirects["/latest"] = server.url("/net.pth")
    download(server.url("/latest"), target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("elsewhere", ["file:///etc/passwd", "ftp://127.0.0.1/net.pth"])
def test_a_redirect_to_something_else_is_not_followed(server: FileServer, target: Path, elsewhere: str) -> None:
    server.redirects["/latest"] = elsewhere
    with pytest.raises(DownloadError):
        download(server.url("/latest"), target)
    assert not target.exists()


def test_a_protected_address_never_leads_to_an_unprotected_one(target: Path) -> None:
    request = Request("https://models.example/net.pth")
    with pytest.raises(DownloadError, match="unprotected address"):
        _Redirects().redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "http://models.example/net.pth")
    followed = _Redirects().redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "https://cdn.example/net.pth")
    assert followed is not None
    assert followed.full_url == "https://cdn.example/net.pth"


def test_a_missing_file_is_reported_with_a_remedy(server: FileServer, target: Path) -> None:
    with pytest.raises(DownloadError, match="no longer has the file") as caught:
        download(server.url("/absent.pth"), target)
    assert str(target) in caught.value.remedy
    assert leftovers(target) == []


def test_a_busy_server_is_asked_again(server: FileServer, target: Path) -> None:
    server.status = [503, 429]
    download(server.url("/net.pth"), target)
    assert len(server.seen) == 3


def test_a_server_that_stays_busy_is_given_up(server: FileServer, target: Path) -> None:
    server.status = [503] * 10
    with pytest.raises(DownloadError, match="too busy"):
        download(server.url("/net.pth"), target)


def test_a_login_page_is_not_taken_for_a_model(server: FileServer, target: Path) -> None:
    server.headers["Content-Type"] = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="web page came instead"):
        download(server.url("/net.pth"), target)
    assert leftovers(target) == []


def test_an_empty_answer_is_no_file(server: FileServer, target: Path) -> None:
    server.files["/net.pth"] = b""
    with pytest.raises(DownloadError, match="empty file"):
        download(server.url("/net.pth"), target)
    assert not target.exists()


@pytest.mark.parametrize("length", [True, False])
def test_far_more_than_published_is_refused(
    server: FileServer, target: Path, length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SPARE", 1000)
    server.length = length
    with pytest.raises(DownloadError, match="far more"):
        download(server.url("/net.pth"), target, approximate_bytes=1000)
    assert leftovers(target) == []


def test_a_server_that_does_not_say_the_length_is_read_to_its_end(server: FileServer, target: Path) -> None:
    server.length = False
    download(server.url("/net.pth"), target)
    assert target.read_bytes() == CONTENT


def test_a_silent_server_is_given_up_and_the_part_kept(server: FileServer, target: Path) -> None:
    server.hang_after = 100_000
    with pytest.raises(DownloadError, match="does not answer") as caught:
        download(server.url("/net.pth"), target, silence=0.2)
    assert "goes on from there" in caught.value.remedy
    assert target.with_name("net.pth.part").stat().st_size > 0


def test_cancel_wakes_up_a_download_that_waits_for_a_silent_server(server: FileServer, target: Path) -> None:
    server.hang_after = 100_000
    stop = threading.Event()

    def stop_at_the_silence(progress: DownloadProgress) -> None:
        if progress.done == 100_000:
            stop.set()

    with pytest.raises(Cancelled, match="goes on from there"):
        download(server.url("/net.pth"), target, cancel=stop.is_set, progress=stop_at_the_silence, silence=60)
    assert target.with_name("net.pth.part").stat().st_size == 100_000
    server.hang_after = None
    assert download(server.url("/net.pth"), target).resumed_from == 100_000
    assert target.read_bytes() == CONTENT


def test_cancel_without_a_known_length_is_no_end_of_the_file(server: FileServer, target: Path) -> None:
    server.hang_after, server.length = 100_000, False
    stop = threading.Event()
    with pytest.raises(Cancelled):
        download(server.url("/net.pth"), target, cancel=stop.is_set, progress=lambda _progress: stop.set(), silence=60)
    assert not target.exists()


def test_an_interrupt_keeps_the_part(server: FileServer, target: Path) -> None:
    def interrupt(progress: DownloadProgress) -> None:
        if progress.done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.url("/net.pth"), target, progress=interrupt)
    assert download(server.url("/net.pth"), target).resumed_from > 500_000
    assert target.read_bytes() == CONTENT


def test_offline_says_how_to_do_without(target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        download(f"http://127.0.0.1:{port}/net.pth", target)
    assert f"copy it to {target}" in caught.value.remedy
    assert leftovers(target) == []


def test_an_unknown_name_says_that_there_is_no_connection(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match="no connection to the internet"):
        download("https://models.example/net.pth", target)


def test_the_proxy_of_the_environment_is_used_and_named(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.address.replace("http://", "http://me:secret@"))
    server.files["http://models.example/net.pth"] = CONTENT
    download("http://models.example/net.pth", target)
    assert target.read_bytes() == CONTENT
    with pytest.raises(DownloadError) as caught:
        download("http://models.example/absent.pth", target)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("https_proxy", "http://me:secret@127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"proxy 127\.0\.0\.1:9") as caught:
        download("https://models.example/net.pth", target)
    assert "secret" not in str(caught.value)


def test_a_socks_proxy_is_refused_with_a_reason(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(DownloadError, match="SOCKS"):
        download("https://models.example/net.pth", target)


def test_a_server_without_a_valid_certificate_is_not_believed(server: FileServer, target: Path) -> None:
    """A plain server on a protected address: the handshake fails and nothing is fetched."""
    with pytest.raises(DownloadError, match="no protected connection"):
        download(server.url("/net.pth").replace("http:", "https:"), target)


def test_an_untrusted_certificate_is_refused(target: Path) -> None:
    with serving(protected=True) as server:
        server.files["/net.pth"] = CONTENT
        with pytest.raises(DownloadError, match=r"certificate of 127\.0\.0\.1 is not trusted") as caught:
            download(server.url("/net.pth"), target)
    assert "SSL_CERT_FILE" in caught.value.remedy
    assert server.seen == []
    assert leftovers(target) == []


def test_a_protected_download_resumes_and_can_be_cancelled(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    stop = threading.Event()
    with serving(protected=True) as server:
        server.files["/net.pth"], server.hang_after = CONTENT, 1_000_000

        def stop_at_the_silence(progress: DownloadProgress) -> None:
            if progress.done == 1_000_000:
                stop.set()

        with pytest.raises(Cancelled):
            download(server.url("/net.pth"), target, cancel=stop.is_set, progress=stop_at_the_silence, silence=60)
        server.hang_after = None
        assert download(server.url("/net.pth"), target).resumed_from == 1_000_000
    assert target.read_bytes() == CONTENT


def test_a_disk_without_room_is_noticed_before_the_first_byte(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1_000_000})())
    with pytest.raises(StorageError, match="no room for 3 MB more"):
        download(server.url("/net.pth"), target)


def test_a_disk_that_fills_up_keeps_what_came(server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deeplab_core.hub.partial import PartFile

    real, written = PartFile.write, 0

    class Full:
        """A disk with room for one megabyte more."""

        def __init__(self, stream: object) -> None:
            self._stream = stream

        def __getattr__(self, name: str) -> object:
            return getattr(self._stream, name)

        def write(self, data: memoryview) -> int:
            nonlocal written
            if written >= 1_000_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            count = self._stream.write(data[: 1_000_000 - written])  # type: ignore[attr-defined]
            written += count
            return count

    def write(self: PartFile, data: bytes) -> None:
        if not isinstance(self._stream, Full):
            self._stream = Full(self._stream)  # type: ignore[assignment]
        real(self, data)

    with monkeypatch.context() as patched:
        patched.setattr(PartFile, "write", write)
        with pytest.raises(StorageError, match="goes on from here"):
            download(server.url("/net.pth"), target)
    assert download(server.url("/net.pth"), target).resumed_from == 1_000_000
    assert target.read_bytes() == CONTENT


def test_two_downloads_of_one_file_do_not_write_into_each_other(server: FileServer, target: Path) -> None:
    refused: list[DownloadError] = []

    def second(progress: DownloadProgress) -> None:
        if not refused:
            with pytest.raises(DownloadError, match="being fetched already") as caught:
                download(server.url("/net.pth"), target)
            refused.append(caught.value)

    download(server.url("/net.pth"), target, progress=second)
    assert len(refused) == 1
    assert target.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_said(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        download(server.url("/net.pth"), tmp_path / "file" / "net.pth")
