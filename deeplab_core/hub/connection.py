"""Opening an address: proxies of the system, certificates, redirects, and what a failure means for the user."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
    getproxies,
    proxy_bypass,
)

from deeplab_core import __version__
from deeplab_core.errors import DownloadError, message
from deeplab_core.reading import reason as short_reason
from deeplab_core.reading import shorten

AGENT = f"Atrous/{__version__}"

#: Answers that a later try may not get: busy, overloaded, a gateway without a server behind it.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Wire:
    """The socket in use, so that another thread can wake up a read that waits for a silent server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut = False

    def hold(self, opened: socket.socket) -> None:
        """Remember the socket of the connection that was made last."""
        with self._lock:
            self._socket = opened
            if self._cut:
                _shut(opened)

    def cut(self) -> None:
        """End the connection now; its reader gets an error or the end."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                _shut(self._socket)


def open_address(url: str, headers: dict[str, str], timeout: float, wire: Wire) -> http.client.HTTPResponse:
    """Ask for an address.

    Args:
        url: ``https://`` or ``http://``; nothing else is opened, also not by a redirect.
        headers: beyond the agent's name.
        timeout: longest silence in seconds, when connecting and in each read.
        wire: gets the socket.

    Returns:
        The response (``http.client.HTTPResponse``) with a status from 200 to 299.

    Raises:
        HTTPError: another status.
        OSError, http.client.HTTPException, ValueError: no connection, or an answer that is none; :func:`explain` describes what
        it     means.
        DownloadError: a redirect to a malformed or unprotected address, a proxy of a kind that cannot be used.
    """
    _check_proxy(url)
    opener = OpenerDirector()
    context = ssl.create_default_context()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        _PlainHandler(wire),
        _SecureHandler(wire, context),
        HTTPDefaultErrorHandler(),
        _Redirects(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    request = Request(url, headers={"User-Agent": AGENT, "Accept-Encoding": "identity", **headers})
    answer: http.client.HTTPResponse = opener.open(request, timeout=timeout)
    return answer


def proxy_for(url: str) -> str:
    """``host:port`` of the proxy that an address goes through, without name and password; empty without one."""
    address = _proxy_address(url)
    try:
        parts = urlsplit(address)
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
    except ValueError:  # without what may be name and password
        return shorten(address.rpartition("@")[2])


def explain(error: Exception, url: str, by_hand: str) -> DownloadError:
    """What a failed connection means and what to do.

    Args:
        error: what :func:`open_address` or reading from its response raised.
        url: the address asked for.
        by_hand: sentence on how to do without a connection.
    """
    host = urlsplit(url).hostname or url
    if isinstance(error, HTTPError):
        return _explain_status(error, host, url, by_hand)
    if is_malformed(error):
        return malformed(url, "answer", short_reason(error), by_hand)
    reason = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    proxy = proxy_for(url)
    through = (
        message("; the connection goes through the proxy {proxy}, which the system or the environment names", proxy=proxy)
        if proxy
        else ""
    )
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError(
            message("the certificate of {host} is not trusted", host=host),
            why=message("{reason}{through}", reason=reason.verify_message, through=through),
            remedy=message(
                "Check the computer's clock. Behind a company's proxy, name its certificates in SSL_CERT_FILE. {by_hand}",
                by_hand=by_hand,
            ),
        )
    if isinstance(reason, ssl.SSLError):
        return DownloadError(
            message("no protected connection to {host}", host=host),
            why=message("{reason}{through}", reason=reason.reason or reason, through=through),
            remedy=by_hand,
        )
    if isinstance(reason, TimeoutError):
        return DownloadError(
            message("{host} does not answer", host=host),
            why=message("nothing came for too long{through}", through=through),
            remedy=message("Try later. {by_hand}", by_hand=by_hand),
        )
    if isinstance(reason, OSError) and "407" in str(reason):
        return DownloadError(
            message("the proxy {proxy} asks for a name and password", proxy=proxy),
            remedy=message("Put them into https_proxy=http://name:password@host:port"),
        )
    if isinstance(reason, socket.gaierror):
        why = message(
            "its name is not known here: there is no connection to the internet, or a proxy is needed{through}", through=through
        )
    else:
        why = message("{reason}{through}", reason=str(reason) or type(reason).__name__, through=through)
    return DownloadError(
        message("{host} cannot be reached", host=host),
        why=why,
        remedy=message("Check the connection and try again. {by_hand}", by_hand=by_hand),
    )


def malformed(url: str, header: str, why: str, by_hand: str) -> DownloadError:
    """The error for a server with an answer that cannot be understood.

    Args:
        url: the address asked for.
        header: name of the header that is wrong, or "answer".
        why: what is wrong with it.
        by_hand: sentence on how to do without a connection.
    """
    host = urlsplit(url).hostname or url
    return DownloadError(
        message("{host} sends a malformed {header}", host=host, header=header),
        why=why,
        remedy=message("Nothing of it was used. {by_hand}", by_hand=by_hand),
    )


def is_malformed(error: Exception) -> bool:
    """Whether an exception of the standard library means that an answer cannot be understood."""
    # The one for certificates is a ValueError, too.
    return isinstance(error, ValueError | http.client.InvalidURL) and not isinstance(error, OSError)


def asked_to_wait(headers: Message) -> tuple[float, str]:
    """What ``Retry-After`` says, in seconds from now, and what is wrong with it; 0 and an empty text without one."""
    asked = (headers.get("Retry-After") or "").strip()
    if not asked:
        return 0.0, ""
    if asked.isascii() and asked.isdigit():
        return float(asked[:9]) if len(asked) < 10 else 1e9, ""
    try:
        moment = parsedate_to_datetime(asked)
        return max((moment.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0), ""
    except (ValueError, TypeError, OverflowError, OSError):
        return 0.0, f"its Retry-After reads {shorten(asked)}"


def _explain_status(error: HTTPError, host: str, url: str, by_hand: str) -> DownloadError:
    status = error.code
    meaning = http.client.responses.get(status, "")
    if status in (404, 410):
        return DownloadError(
            message("{host} no longer has the file", host=host),
            why=message("{url}: {status} {meaning}", url=url, status=status, meaning=meaning),
            remedy=by_hand,
        )
    if status in (401, 403):
        return DownloadError(
            message("{host} refuses the file", host=host),
            why=message("{url}: {status} {meaning}", url=url, status=status, meaning=meaning),
            remedy=by_hand,
        )
    if status in PASSING:
        complaint = asked_to_wait(error.headers)[1]
        odd = message("; {complaint}", complaint=complaint) if complaint else ""
        return DownloadError(
            message("{host} is too busy", host=host),
            why=message("{status} {meaning}{odd}", status=status, meaning=meaning, odd=odd),
            remedy=message("Try again later. {by_hand}", by_hand=by_hand),
        )
    return DownloadError(
        message("{host} answered {status}", host=host, status=f"{status} {meaning}".strip()), why=url, remedy=by_hand
    )


def _proxy_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return ""
    address = getproxies().get(parts.scheme, "")
    return address if not address or "://" in address else f"http://{address}"


def _check_proxy(url: str) -> None:
    try:
        parts = urlsplit(_proxy_address(url))
        scheme, _port = parts.scheme, parts.port
    except ValueError as error:
        raise DownloadError(
            message("the address of the proxy, {url}, is malformed", url=proxy_for(url)),
            why=short_reason(error),
            remedy=message("Correct it in https_proxy or in the settings of the system: http://host:port"),
        ) from error
    if scheme.startswith("socks"):
        raise DownloadError(
            message("the proxy {url} speaks SOCKS, which downloads here do not", url=proxy_for(url)),
            remedy=message("Name an HTTP proxy in https_proxy, or fetch the file with another program"),
        )


def _shut(opened: socket.socket) -> None:
    try:
        opened.shutdown(socket.SHUT_RDWR)
    except OSError:  # closed by itself in the meantime
        return


def _recorded(kind: type[http.client.HTTPConnection], wire: Wire) -> type[http.client.HTTPConnection]:
    class Recorded(kind):  # type: ignore[misc, valid-type]
        def connect(self) -> None:
            super().connect()
            wire.hold(self.sock)

    return Recorded


class _PlainHandler(HTTPHandler):
    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._kind = _recorded(http.client.HTTPConnection, wire)

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(self._kind, req)


class _SecureHandler(HTTPSHandler):
    def __init__(self, wire: Wire, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._kind, self._trust = _recorded(http.client.HTTPSConnection, wire), context

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(self._kind, req, context=self._trust)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to addresses that are well formed, but never from a protected one to an unprotected one."""

    def http_error_302(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> IO[bytes] | None:
        # The base reads the body of a redirect to its end, however long it is; nothing of it is needed.
        fp.close()
        _check_location(req.full_url, headers)
        found: IO[bytes] | None = super().http_error_302(req, io.BytesIO(), code, msg, headers)
        return found

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (urlsplit(req.full_url).scheme == "https" and scheme != "https"):
            raise DownloadError(
                message("{host} sends on to an unprotected address", host=urlsplit(req.full_url).hostname),
                why=newurl,
                remedy=message("It was not followed"),
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_location(url: str, headers: http.client.HTTPMessage) -> None:
    """Raise DownloadError for the address of a redirect that urllib would stumble over."""
    location = headers.get("Location") or headers.get("URI") or ""
    try:
        if not location:
            raise ValueError("it is missing")
        if any(ord(character) <= 32 or ord(character) == 127 for character in location.strip()):
            raise ValueError("it holds blanks or control characters")
        target = urlsplit(location.strip())
        if target.scheme in ("http", "https") and not target.hostname:
            raise ValueError("it names no server")
        parts = urlsplit(urljoin(url, location))
        _port = parts.port
        (parts.hostname or "").encode("idna" if (parts.hostname or "").isascii() else "ascii")
    except ValueError as error:
        host = urlsplit(url).hostname or url
        raise DownloadError(
            message("{host} sends a malformed Location", host=host),
            why=message("{error}: {location}", error=short_reason(error), location=shorten(location)),
            remedy=message("It was not followed. Try later, or fetch the file with a browser"),
        ) from error
