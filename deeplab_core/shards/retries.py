"""Stores that fail for a moment: what was asked of one is asked again, a few times with pauses, and the log says so."""

from __future__ import annotations

import errno
import gzip
import logging
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from deeplab_core.errors import AtrousError

Result = TypeVar("Result")

_log = logging.getLogger(__name__)

#: Seconds before the second, the third and the fourth try, which is the last.
PAUSES = (1.0, 4.0, 15.0)
#: Answers of a server that another try may change.
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Errors of the system that another try may change; -3 is a name server that did not answer.
_PASSING_ERRNO = frozenset({
    errno.EIO, errno.EAGAIN, errno.EBUSY, errno.EPIPE, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNABORTED, errno.ECONNREFUSED,
    errno.ECONNRESET, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN, -3,
})  # fmt: skip
#: A wrong name, missing rights or damage, which stay.
_LASTING = (
    AtrousError, FileExistsError, IsADirectoryError, LookupError, NotADirectoryError, NotImplementedError, PermissionError,
    ImportError, TypeError, ValueError, EOFError, MemoryError, gzip.BadGzipFile, zlib.error,
)  # fmt: skip


def cause_of(error: Exception) -> BaseException:
    """What lies behind the error of a store: fsspec calls each address that a server does not give a missing file."""
    return error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ is not None else error


def is_missing(error: Exception) -> bool:
    """Whether a store says that there is no such file, and not that it is away or refuses."""
    if not isinstance(error, FileNotFoundError):
        return False
    cause = error.__cause__
    return cause is None or isinstance(cause, (FileNotFoundError, LookupError)) or _status(cause) in (404, 410)


def _status(error: BaseException) -> int | None:
    """What a server answered: each client library has a place of its own for it (aiohttp, Azure's, botocore)."""
    response = getattr(error, "response", None)
    answer = response.get("ResponseMetadata") if isinstance(response, dict) else None
    places = (
        getattr(error, "status", None),
        getattr(error, "status_code", None),
        answer.get("HTTPStatusCode") if isinstance(answer, dict) else None,
    )
    return next((place for place in places if isinstance(place, int) and place > 0), None)


def is_passing(error: Exception) -> bool:
    """Whether another try may succeed: the store did not answer, or said that it cannot now."""
    if is_missing(error):
        return False
    cause = cause_of(error)
    status = _status(cause)
    if status is not None:
        return status in _PASSING_STATUS
    if isinstance(cause, _LASTING):
        return False
    number = getattr(cause, "errno", None)
    return number is None or number in _PASSING_ERRNO


def again(url: str, work: Callable[[], Result]) -> Result:
    """What ``work`` gives, tried four times at most. Raises what the last try raised.

    Args:
        url: what the log calls it.
        work: asks the store; it leaves nothing behind when it fails.
    """
    for pause in PAUSES:
        try:
            return work()
        except Exception as error:  # each store has errors of its own
            if not is_passing(error):
                raise
            cause = cause_of(error)
            why = f"{type(cause).__name__}: {cause}".strip(": ")[:300]
            _log.warning("%s: no answer (%s); trying again in %g s", url, why, pause)
            time.sleep(pause)
    return work()


class SteadyStream:
    """A file of a store; where a read fails it is opened again at the same place.

    Args:
        url: path or address.
        start: first byte of its (decompressed) content.
        make: opens it.

    Raises:
        Exception: what the store raises in the last of four tries.
    """

    def __init__(self, url: str, start: int, make: Callable[[], Any]) -> None:
        self._url, self._place, self._make = url, start, make
        self._stream: Any = None
        again(url, self._opened)

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes from here on, b"" at the end; all that is left for -1."""
        return again(self._url, lambda: self._read(size))

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a byte of the content, and return its number."""
        self._place = again(self._url, lambda: int(self._opened().seek(place, whence)))
        return self._place

    def tell(self) -> int:
        """Number of the byte that is read next."""
        return self._place

    def close(self) -> None:
        """Let go of the file."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _read(self, size: int) -> bytes:
        stream = self._opened()
        try:
            data: bytes = stream.read(size)
        except Exception as error:
            if is_passing(error):
                with suppress(Exception):
                    self.close()
                self._stream = None
            raise
        self._place += len(data)
        return data

    def _opened(self) -> Any:
        if self._stream is None:
            stream = self._make()
            try:
                _go_to(stream, self._place)
            except BaseException:
                stream.close()
                raise
            self._stream = stream
        return self._stream


def _go_to(stream: Any, place: int) -> None:
    """Seek; a server without ranges sends a file from its beginning only, and what comes before ``place`` is dropped."""
    if not place:
        return
    try:
        stream.seek(place)
    except (ValueError, NotImplementedError):
        while place > 0 and (part := stream.read(min(place, 1 << 20))):
            place -= len(part)
