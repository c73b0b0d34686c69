"""Fetching one file: in parts that survive an interruption, checked, and never half there under its own name."""

from __future__ import annotations

import http.client
import re
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from deeplab_core.errors import Cancelled, DownloadError, StorageError, message
from deeplab_core.hub.connection import PASSING, Wire, asked_to_wait, explain, is_malformed, malformed, open_address
from deeplab_core.hub.partial import Origin, PartFile
from deeplab_core.parallel import IsCancelled
from deeplab_core.reading import shorten

#: Longest silence of a server, in seconds.
SILENCE = 30.0
#: Lowest rate of a server, in bytes per second, over :data:`SLOW_FOR` seconds, which is longer than the longest silence.
SLOWEST, SLOW_FOR = 1_000.0, 60.0
#: Longest time in seconds from asking to the first byte of the file, redirects included.
PATIENCE = 120.0
#: Waiting time before each further try after a connection broke, in seconds; a try that brought bytes restarts the count.
BACK_OFF = (1.0, 3.0, 10.0)
#: Largest file that is fetched where the published size is not known; the largest known network has 1 GB.
LARGEST = 8 * 2**30
#: Room that a download leaves on the disk.
SPARE = 64 * 2**20

_CHUNK = 256 * 1024
#: Numbers of more digits stand for no file.
_NUMBER = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
#: What ``If-Range`` may send back.
_VALIDATOR = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,998}[\x21-\x7e])?")
_KEPT = message("What came so far is kept; the next try goes on from there")


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a download is. ``total`` is None where the server does not say; ``text`` is what goes on beside fetching."""

    done: int
    total: int | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there, whole.

    Attributes:
        size: bytes.
        sha256: lower-case hex.
        resumed_from: bytes that an earlier try had brought; 0 if none.
    """

    path: Path
    size: int
    sha256: str
    resumed_from: int = 0


class _Broken(Exception):
    """The connection ended early, or the server asks to come back later."""

    def __init__(self, error: Exception, wait: float = 0.0) -> None:
        super().__init__(str(error))
        self.error, self.wait = error, wait


def download(
    url: str,
    target: Path,
    *,
    sha256_prefix: str = "",
    sha256_of: str = "the published file",
    approximate_bytes: int | None = None,
    cancel: IsCancelled | None = None,
    progress: Callable[[DownloadProgress], None] | None = None,
    silence: float | None = None,
) -> Fetched:
    """Fetch ``url`` to ``target``, going on where an earlier try ended.

    The bytes are collected in ``<target>.part``; the name is given once all of them are there and the checksum fits. A resumed
    download asks for the rest only if the file is still the same (``If-Range`` with the ETag or date); where the server gave
    neither and no checksum is published, or answers with the whole file, it restarts. Broken connections are tried again,
    see :data:`BACK_OFF`. Proxies are the system's and those of ``https_proxy``, ``http_proxy`` and ``no_proxy``.

    Args:
        url: ``https://`` (or ``http://``) address.
        target: the file; its folder is made.
        sha256_prefix: first digits that the checksum must have.
        sha256_of: the owner of that checksum, for the message.
        approximate_bytes: published size; an answer of more than four times that is refused.
        cancel: asked ten times a second, also while the server is silent.
        progress: called after every block.
        silence: longest silence of the server in seconds; None takes :data:`SILENCE`.

    Raises:
        Cancelled: ``cancel`` said so; the part is kept.
        DownloadError: no connection, no such file, wrong checksum, a web page instead of a file, a malformed header, a server
            slower than :data:`SLOWEST` (the part is kept).
        StorageError: full disk, missing rights; the part is kept.
    """
    job = _Job(
        url, target, prefix=sha256_prefix.lower(), prefix_of=sha256_of, silence=silence or SILENCE,
        largest=LARGEST if approximate_bytes is None else 4 * approximate_bytes + SPARE,
        cancel=cancel or (lambda: False), report=progress or (lambda _progress: None),
    )  # fmt: skip
    with PartFile(target) as part:
        return job.run(part)


@dataclass(eq=False)
class _Job:
    """One download, over as many connections as it takes."""

    url: str
    target: Path
    prefix: str
    prefix_of: str
    largest: int
    silence: float
    cancel: IsCancelled
    report: Callable[[DownloadProgress], None]
    received: bool = False

    @property
    def by_hand(self) -> str:
        return message("To do without: fetch {url} elsewhere and copy it to {target}", url=self.url, target=self.target)

    def run(self, part: PartFile) -> Fetched:
        earlier = self._resume_point(part)
        if not earlier:
            part.restart()
        tries, resumed = 0, bool(earlier)
        while True:
            before = part.size
            try:
                self._fetch(part)
            except _Broken as broken:
                tries = 1 if part.size > before else tries + 1
                if tries > len(BACK_OFF):
                    raise self._given_up(broken.error, part) from broken.error
                total = part.origin.total if part.origin else None
                self.report(DownloadProgress(part.size, total, "the connection broke; trying again"))
                self._wait(max(BACK_OFF[tries - 1], broken.wait))
                resumed = resumed or part.size > 0
                continue
            if part.digest.startswith(self.prefix):
                break
            found = part.digest
            part.restart()
            if not resumed:  # a resumed file may have been joined from two; one that came in one piece is wrong
                raise DownloadError(
                    message("what came is not {file}", file=self.prefix_of),
                    why=message(
                        "its sha256 begins with {found} instead of {expected}; it was deleted",
                        found=found[:8],
                        expected=self.prefix[:8],
                    ),
                    remedy=message("Try again; if it stays so, the file or something between you and the server has changed"),
                    path=self.target,
                )
            resumed = False
        size, digest = part.size, part.digest
        part.finish()
        return Fetched(self.target, size, digest, earlier)

    def _resume_point(self, part: PartFile) -> int:
        """Bytes of an earlier try that can be gone on from."""
        origin = part.origin
        known = origin is not None and origin.url == self.url and bool(origin.validator or self.prefix)
        return part.size if known else 0

    def _fetch(self, part: PartFile) -> None:
        """One connection. Raises _Broken where another try may help."""
        headers = {}
        if part.size:
            assert part.origin is not None
            headers["Range"] = f"bytes={part.size}-"
            if part.origin.validator:
                headers["If-Range"] = part.origin.validator
        wire, throttle = Wire(), _Throttle(2 * self.silence)
        with _watched(lambda: self.cancel() or throttle.is_slow(), wire):
            try:
                with open_address(self.url, headers, self.silence, wire) as response:
                    throttle.begin()
                    self._receive(response, part, throttle)
            except HTTPError as error:
                error.close()
                self._take_status(error, part)
            except (OSError, http.client.HTTPException, ValueError) as error:
                if self.cancel():
                    raise Cancelled(remedy=_KEPT) from error
                if throttle.slow:
                    raise self._too_slow(throttle, part) from error
                # Without a single byte so far there is no connection to begin with, and waiting a few seconds does not fix that.
                if _hopeless(error) or (isinstance(error, URLError) and not self.received):
                    raise explain(error, self.url, self.by_hand) from error
                raise _Broken(error) from error

    def _take_status(self, error: HTTPError, part: PartFile) -> None:
        if error.code == 416 and part.size:  # the range begins at the end: all of it is there, or it is another file
            total = re.fullmatch(r"bytes \*/([0-9]{1,18})", error.headers.get("Content-Range", "").strip())
            if total and int(total[1]) == part.size:
                return
            part.restart()
            raise _Broken(error)
        if error.code in PASSING:
            raise _Broken(error, min(asked_to_wait(error.headers)[0], 30.0))
        raise explain(error, self.url, self.by_hand)

    def _receive(self, response: http.client.HTTPResponse, part: PartFile, throttle: _Throttle) -> None:
        total = self._place(response, part)
        kind = response.headers.get_content_type()
        if kind == "text/html":
            part.restart()
            raise DownloadError(
                message("a web page came instead of the file"),
                why=message("the server asks something first, or a login page of the network answered"),
                remedy=message("Open {url} in a browser and copy the file to {folder}", url=self.url, folder=self.target),
            )
        self._check_room(total, part)
        while True:
            if self.cancel():
                raise Cancelled(remedy=_KEPT)
            block = response.read1(_CHUNK)
            if not block:
                # If the wire was cut, this is not the end of the file.
                if self.cancel():
                    raise Cancelled(remedy=_KEPT)
                if throttle.slow:
                    raise self._too_slow(throttle, part)
                break
            throttle.received += len(block)
            part.write(block)
            self.received = True
            if part.size > self.largest:
                part.restart()
                raise self._too_large()
            self.report(DownloadProgress(part.size, total))
        if total is not None and part.size != total:
            if part.size > total:
                part.restart()
            raise _Broken(ConnectionError(f"the connection ended after {part.size:,} of {total:,} bytes"))
        if not part.size:
            raise DownloadError(message("an empty file came"), why=self.url, remedy=self.by_hand)

    def _place(self, response: http.client.HTTPResponse, part: PartFile) -> int | None:
        """Bring the part in line with what the server sends: the rest, or the whole file. Returns the whole file's size."""
        headers = response.headers
        if response.status not in (200, 206):
            raise explain(HTTPError(self.url, response.status, "", headers, None), self.url, self.by_hand)
        etag = headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
        if not _VALIDATOR.fullmatch(validator):  # it could not be sent back
            validator = ""
        if response.status == 206:
            sent = headers.get("Content-Range", "").strip()
            place = _RANGE.fullmatch(sent)
            total = int(place[3]) if place and place[3] != "*" else None
            known = part.origin.total if part.origin else None
            if not place or int(place[1]) != part.size or (known is not None and total not in (None, known)):
                part.restart()
                if not place:
                    raise _Broken(
                        malformed(self.url, "Content-Range", message("It reads {sent}", sent=shorten(sent)), self.by_hand)
                    )
                raise _Broken(ConnectionError("the server sent another part than the one asked for"))
            if part.origin is None:
                part.begin(Origin(self.url, validator, total))
            return total if total is not None else known
        if part.size:
            part.restart()
        length = headers.get("Content-Length", "").strip()
        if length and not _NUMBER.fullmatch(length):
            raise malformed(self.url, "Content-Length", message("It reads {length}", length=shorten(length)), self.by_hand)
        total = int(length) if length else None
        part.begin(Origin(self.url, validator, total))
        return total

    def _check_room(self, total: int | None, part: PartFile) -> None:
        if total is None:
            return
        if total > self.largest:
            raise self._too_large()
        try:
            free = shutil.disk_usage(self.target.parent).free
        except OSError:  # a network drive that does not tell; writing will
            return
        if free < total - part.size + SPARE:
            raise StorageError(
                message("the disk has no room for {megabytes:,.0f} MB more", megabytes=(total - part.size) / 1e6),
                why=message("{megabytes:,.0f} MB are free", megabytes=free / 1e6),
                remedy=message("Free some space or choose another folder"),
                path=self.target.parent,
            )

    def _too_large(self) -> DownloadError:
        return DownloadError(
            message("the server sends far more than the published file"),
            why=self.url,
            remedy=message("It was deleted; tell its publisher"),
        )

    def _too_slow(self, throttle: _Throttle, part: PartFile) -> DownloadError:
        host = urlsplit(self.url).hostname or self.url
        remedy = (
            message("{kept}. {by_hand}", kept=_KEPT, by_hand=self.by_hand)
            if part.size
            else message("Try again later. {by_hand}", by_hand=self.by_hand)
        )
        return DownloadError(message("{host} is too slow", host=host), why=throttle.slow, remedy=remedy)

    def _given_up(self, error: Exception, part: PartFile) -> DownloadError:
        failure = error if isinstance(error, DownloadError) else explain(error, self.url, self.by_hand)
        if part.size:
            failure.remedy = f"{_KEPT}. {failure.remedy}"
        return failure

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.cancel():
                raise Cancelled(remedy=_KEPT)
            time.sleep(min(left, 0.1))


class _Throttle:
    """Whether a server is slower than the lowest rate; asked from another thread than the one that reads.

    Attributes:
        received: bytes of the file that came through this connection.
        slow: why it is too slow; empty while it is not.
    """

    def __init__(self, least_span: float) -> None:
        self._span = max(SLOW_FOR, least_span)
        self._since, self._before, self._begun = time.monotonic(), 0, False
        self.received = 0
        self.slow: str = ""

    def begin(self) -> None:
        """The file itself comes from now on."""
        self._since, self._begun = time.monotonic(), True

    def is_slow(self) -> bool:
        """Whether fewer bytes came than the lowest rate asks for, or none after all patience."""
        now, received = time.monotonic(), self.received
        passed = now - self._since
        if not self._begun:
            if passed >= max(PATIENCE, self._span):
                self.slow = message("its answer had not begun after {seconds:,.0f} s", seconds=passed)
        elif passed >= self._span:
            if received - self._before < SLOWEST * passed:
                self.slow = message("{bytes:,} bytes came in {seconds:,.0f} s", bytes=received - self._before, seconds=passed)
            self._since, self._before = now, received
        return bool(self.slow)


def _hopeless(error: Exception) -> bool:
    """Whether another try in a moment meets the same: certificates and malformed answers do not get better by waiting."""
    reason = getattr(error, "reason", error)
    return is_malformed(error) or isinstance(reason, ssl.SSLCertVerificationError) or "407" in str(reason)


@contextmanager
def _watched(over_with: Callable[[], bool], wire: Wire) -> Iterator[None]:
    """Cut the wire as soon as ``over_with`` is true, even while a read waits for a silent server."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            if over_with():
                wire.cut()
                return

    watcher = threading.Thread(target=watch, name="download-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
