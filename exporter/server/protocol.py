"""HTTP/1.1 on a connection, with limits on what a client may send and on how long it may take.

uvicorn parses with httptools, which rejects malformed requests but takes heads of any size at any speed, no Host or
several, and trailers as if they were headers. A request that is refused here never reaches the application; the answer
is one line of text, and the connection ends with it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from http import HTTPStatus

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.logs import fields

log = logging.getLogger(__name__)

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
#: What a header costs besides its name and value: the colon, a space and the end of the line.
_HEADER_OVERHEAD = 4
_REFUSAL_HEADERS = (
    b"content-type: text/plain; charset=utf-8",
    b"cache-control: no-store",
    b"content-security-policy: default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    b"x-content-type-options: nosniff",
    b"referrer-policy: same-origin",
    b"x-robots-tag: noindex",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take.

    Attributes:
        target_bytes: length of the request target, beyond which the answer is 414.
        head_bytes: size of all headers together, beyond which the answer is 431.
        body_bytes: size of a request's body, beyond which the answer is 413.
        arrival: seconds until a request has arrived completely, beyond which the answer is 408.
        departure: seconds that a client may leave an answer unread.
        keep_alive: seconds that a connection may be idle between two requests.
        linger: seconds for which what follows a refused request is read and thrown away, so that the answer arrives.
        pipelined: requests that may wait for the answer to the one before them.
        connections: open connections, beyond which a further one is answered with 503.
    """

    target_bytes: int = 8 * 1024
    head_bytes: int = 32 * 1024
    body_bytes: int = 64 * 1024
    arrival: float = 10.0
    departure: float = 30.0
    keep_alive: float = 65.0
    linger: float = 1.0
    pipelined: int = 16
    connections: int = 512


class _Refused(Exception):
    """The request cannot be accepted; the parser stops where it stands."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class GuardedProtocol(HttpToolsProtocol):
    """One connection of the server.

    Whenever it is the client's turn a timer runs: until a whole request has arrived, and until its answer is read.
    """

    limits = Limits()

    _refusal: _Refused | None = None
    # Whether the application has been given any request of this connection.
    _asked = False
    # Whether whatever still arrives is thrown away.
    _deaf = False
    # Whether a request has begun and not ended, and whether the application has been given it.
    _arriving = False
    _begun_to_answer = False
    # Bytes that certainly belong to it: those that came after the piece in which it began.
    _later_bytes = 0
    _head_bytes = 0
    _body_bytes = 0
    _arrival_timer: asyncio.TimerHandle | None = None
    _departure_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Start to wait for the first request."""
        super().connection_made(transport)
        self.timeout_keep_alive = self.limits.keep_alive  # type: ignore[assignment] # only added to the loop's time
        if len(self.connections) > self.limits.connections:
            self._deaf = True
            self._write(_Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open"))
            transport.close()
        else:
            self._watch_arrival()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._stop_arrival_timer()
        self._stop_departure_timer()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; refuse what is malformed or beyond a limit."""
        if self._deaf or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        goes_on = self._arriving
        try:
            self.parser.feed_data(data)
            if goes_on and self._arriving:
                self._count(len(data))
        except httptools.HttpParserUpgrade:
            # No other protocol is spoken here: the request is answered like any other, and the connection ends.
            self._hear_no_more()
        except (httptools.HttpParserError, _Refused):
            self._refuse(self._refusal or _Refused(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1"))
        self._watch_arrival()

    def pause_writing(self) -> None:
        """Give the client a while to read what it asked for."""
        super().pause_writing()
        self._stop_departure_timer()
        self._departure_timer = self.loop.call_later(self.limits.departure, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        self._stop_departure_timer()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that has been idle for long."""
        self._end()

    @property
    def _answering(self) -> bool:
        return self._asked and not self.cycle.response_complete

    # The parser calls these. It raises an error of its own for ours, which is why the refusal is kept aside.

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._stop_arrival_timer()
        self._arriving = True
        self._begun_to_answer = False
        self._later_bytes = 0
        self._head_bytes = 0
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        super().on_url(url)
        if len(self.url) > self.limits.target_bytes:
            reason = f"the request target has more than {self.limits.target_bytes} bytes"
            raise self._refused(HTTPStatus.REQUEST_URI_TOO_LONG, reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value) + _HEADER_OVERHEAD
        if self._head_bytes > self.limits.head_bytes:
            raise self._head_too_large()

    def on_headers_complete(self) -> None:
        """Check the head as a whole before the application is given it."""
        self._check_framing()
        self._check_size()
        super().on_headers_complete()
        self._asked = self._begun_to_answer = True
        # The parser reports trailers as headers; the list that the application has must not grow under its eyes.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self.limits.body_bytes:
            raise self._body_too_large()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._arriving = False
        super().on_message_complete()

    # What is refused.

    def _check_framing(self) -> None:
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            raise self._refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            raise self._refused(HTTPStatus.BAD_REQUEST, f"the request has {len(hosts)} Host headers, expected one")
        if hosts and _HOST.fullmatch(hosts[0]) is None:
            raise self._refused(HTTPStatus.BAD_REQUEST, "the Host header is not HOST or HOST:PORT")
        # Proxies alone need other forms of the target, and two servers read a fragment differently.
        if not self.url.startswith(b"/") or b"#" in self.url:
            raise self._refused(HTTPStatus.BAD_REQUEST, "the request target is not a path with an optional query")
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and version == "1.0":
            raise self._refused(HTTPStatus.BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding")
        if codings and codings[0].lower() != b"chunked":
            raise self._refused(HTTPStatus.NOT_IMPLEMENTED, "the only Transfer-Encoding understood is chunked")

    def _check_size(self) -> None:
        if any(name == b"content-length" and int(value) > self.limits.body_bytes for name, value in self.headers):
            raise self._body_too_large()
        if len(self.pipeline) >= self.limits.pipelined:
            raise self._refused(HTTPStatus.TOO_MANY_REQUESTS, "too many requests wait on this connection")

    def _count(self, size: int) -> None:
        self._later_bytes += size
        if not self._begun_to_answer:
            if self._later_bytes > self.limits.target_bytes + self.limits.head_bytes:
                raise self._head_too_large()
        # The sizes and extensions of chunks, and trailers, may add as much as the largest body itself.
        elif self._later_bytes > self.limits.head_bytes + 2 * self.limits.body_bytes:
            raise self._body_too_large()

    def _head_too_large(self) -> _Refused:
        reason = f"the headers have more than {self.limits.head_bytes} bytes"
        return self._refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, reason)

    def _body_too_large(self) -> _Refused:
        reason = f"the body has more than {self.limits.body_bytes} bytes"
        return self._refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)

    def _refused(self, status: HTTPStatus, reason: str) -> _Refused:
        self._refusal = _Refused(status, reason)
        return self._refusal

    # How a connection ends.

    def _refuse(self, refused: _Refused) -> None:
        """Answer the request that is arriving with a status, where no other answer is under way, and hang up."""
        client = self.client[0] if self.client else None
        log.debug("request refused", extra=fields(status=refused.status.value, reason=str(refused), client=client))
        if not self._begun_to_answer:
            # Requests that came before it on this connection get their answers first; this one then gets none.
            if not self._answering:
                self._write(refused)
        elif self._answering:
            if self.cycle.response_started or self.pipeline:
                self.transport.abort()
            else:
                self._write(refused)
            # The application must not take the part of the body that has arrived for the whole.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._hear_no_more()

    def _write(self, refused: _Refused) -> None:
        text = f"{refused}\n".encode()
        lines = [
            f"HTTP/1.1 {refused.status.value} {refused.status.phrase}".encode(),
            *(b"%b: %b" % header for header in self.server_state.default_headers),
            *_REFUSAL_HEADERS,
            b"content-length: %d" % len(text),
            b"connection: close",
        ]
        self.transport.write(b"\r\n".join([*lines, b"", text]))

    def _hear_no_more(self) -> None:
        """End the connection after the answers that are under way, and throw away what still arrives."""
        self._deaf = True
        self._stop_arrival_timer()
        if self._answering and not self.cycle.disconnected:
            self.cycle.keep_alive = False
            return
        # Hanging up at once would reset the connection under what the client still sends, and lose the answer.
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        self._arrival_timer = self.loop.call_later(self.limits.linger, self._end)

    def _end(self) -> None:
        # Closing waits until everything is written, which may be never.
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _watch_arrival(self) -> None:
        """Let the timer run if it is the client's turn to send, and only then."""
        if self._deaf:
            return
        if self._answering and not self._arriving:
            self._stop_arrival_timer()
        elif self._arrival_timer is None:
            self._arrival_timer = self.loop.call_later(self.limits.arrival, self._give_up_waiting)

    def _give_up_waiting(self) -> None:
        self._arrival_timer = None
        if self.flow.read_paused:
            # It was us who did not read.
            self._watch_arrival()
        elif self._arriving:
            self._refuse(_Refused(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive"))
        else:
            self._end()

    def _stop_arrival_timer(self) -> None:
        if self._arrival_timer is not None:
            self._arrival_timer.cancel()
            self._arrival_timer = None

    def _stop_departure_timer(self) -> None:
        if self._departure_timer is not None:
            self._departure_timer.cancel()
            self._departure_timer = None


def protocol_with(limits: Limits) -> type[GuardedProtocol]:
    """Return the protocol with ``limits``."""

    class Limited(GuardedProtocol):
        pass

    Limited.limits = limits
    return Limited
