"""One page and its icons, served to this machine's own browser while they are drawn.

The address holds a secret, and only requests that name this server by its own address are
answered: neither another page in the browser nor whoever guesses the port gets to see anything.
(Who may see the command lines of this machine's programs sees what a browser is started with.)
"""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from contextlib import suppress
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader, RawIOBase
from secrets import token_urlsafe
from socket import SHUT_RDWR, socket
from threading import Condition, Thread
from typing import Any

from captum_blocks.errors import InvalidArgument
from captum_blocks.render import html
from captum_blocks.render.arriving import arrivals, as_text
from captum_blocks.render.payload import pack_signs
from captum_blocks.streaming import Stream

HERE = "127.0.0.1"
# Bytes of what a page says, which is the name of a picture.
MOST_SAID = 4096
OF_TERMINALS = ("w3m", "lynx", "links", "elinks", "www-browser")
# Seconds that a browser has to come, or to take what is left.
PATIENCE = 10.0
# A browser opens up to six for a tab. Each has a thread, and bytes that it may send before it is
# answered.
MOST_CONNECTIONS = 32
MOST_ASKED = 2**15
# Seconds that a connection takes to end.
_ENDING = 1.0


class PageServer:
    """Serves the page of a stream until it has been drawn and every reader has it all.

    Args:
        stream: what is drawn; whoever made this draws it.

    Attributes:
        address: of the page; whoever knows it can read it, on this machine.

    Raises:
        InvalidArgument: this machine lets no server be opened.

    >>> from captum_blocks.serving import HERE
    >>> HERE
    '127.0.0.1'
    """

    def __init__(self, stream: Stream) -> None:
        self.stream, self._token = stream, token_urlsafe(24)
        self.page = html.page(stream.now.scene, live=True).encode()
        self._readers, self._came = 0, False
        self._changed = Condition()
        try:
            self._server = _Server((HERE, 0), _Handler)
        except OSError as error:
            raise InvalidArgument(
                f"--open: no server can be opened on {HERE} ({error.strerror or error})"
            ) from error
        self._server.pages = self
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def host(self) -> str:
        """How requests have to name this server."""
        return f"{HERE}:{self._server.server_address[1]}"

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{self.host}/{self._token}/"

    def wait_for_reader(self, seconds: float) -> bool:
        """Wait until a reader has the page with its numbers, so long at most; whether one has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._came, seconds)

    def close(self, expected: bool = True) -> bool:
        """Wait until readers have all that there is, and end.

        Args:
            expected: whether a reader is waited for who has not come yet.

        Returns:
            Whether the page was read at all.
        """
        came = self.wait_for_reader(PATIENCE if expected else 0)
        with self._changed:
            self._changed.wait_for(lambda: not self._readers, PATIENCE if came else 0)
        self._server.shutdown()
        self._server.server_close()
        return came

    def of(self, path: str, host: str | None) -> str | None:
        """What is asked for by a path, "" for the page; None for who may not."""
        token, slash, rest = path.removeprefix("/").partition("/")
        allowed = host == self.host and compare_digest(token.encode(), self._token.encode())
        return (rest if slash else "/") if allowed else None

    def reading(self, by: int) -> None:
        """One reader more, or one less."""
        with self._changed:
            self._readers += by
            self._came = True
            self._changed.notify_all()


_Connection = socket | tuple[bytes, socket]


class _Server(ThreadingHTTPServer):
    """Holds so many connections: of those too many, the oldest that knows no secret goes."""

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS  # others wait a second to be let in
    pages: PageServer

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        self._known: dict[_Connection, bool] = {}
        self._changed = Condition()
        super().__init__(address, handler)

    def process_request(self, request: _Connection, client_address: Any) -> None:
        if self._has_room():
            with self._changed:
                self._known[request] = False
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: _Connection) -> None:
        with self._changed:
            self._known.pop(request, None)
            self._changed.notify_all()
        super().shutdown_request(request)

    def trust(self, request: _Connection) -> None:
        """A connection has named the secret: it stays."""
        with self._changed:
            self._known[request] = True

    def _has_room(self) -> bool:
        with self._changed:
            if len(self._known) < MOST_CONNECTIONS:
                return True
            oldest = next((one for one, trusted in self._known.items() if not trusted), None)
            if not isinstance(oldest, socket):
                return False
            with suppress(OSError):  # it has just ended by itself
                oldest.shutdown(SHUT_RDWR)
            return self._changed.wait_for(lambda: len(self._known) < MOST_CONNECTIONS, _ENDING)

    def handle_error(self, *_: object) -> None:
        """Nothing is told of requests that are none: the terminal belongs to the work."""


class _Short(BufferedReader):
    """What a connection says, up to so much: then it seems to have ended."""

    def __init__(self, raw: RawIOBase) -> None:
        super().__init__(raw)
        self._left = MOST_ASKED

    def readline(self, size: int | None = -1) -> bytes:
        return self._noted(super().readline(self._most(size)))

    def read(self, size: int | None = -1) -> bytes:
        return self._noted(super().read(self._most(size)))

    def _most(self, size: int | None) -> int:
        return self._left if size is None or size < 0 else min(size, self._left)

    def _noted(self, said: bytes) -> bytes:
        self._left -= len(said)
        return said


class _Handler(BaseHTTPRequestHandler):
    """Answers a request; a reader who goes away ends the answer."""

    server: _Server
    timeout = PATIENCE

    def setup(self) -> None:
        super().setup()
        self.rfile = _Short(self.rfile.detach())  # type: ignore[attr-defined]

    def _wanted(self) -> str | None:
        """What is asked for by whoever may ask; None for others."""
        wanted = self.server.pages.of(self.path, self.headers.get("Host"))
        if wanted is not None:
            self.server.trust(self.connection)
        return wanted

    def do_GET(self) -> None:
        pages, wanted = self.server.pages, self._wanted()
        with suppress(ConnectionError, TimeoutError):
            if wanted == "":
                self._answer("text/html; charset=utf-8", pages.page)
            elif wanted == "/":  # the address without its end
                self.send_response(HTTPStatus.PERMANENT_REDIRECT)
                self.send_header("Location", pages.address)
                self.end_headers()
            elif wanted == "pictures":
                self._pictures(pages)
            else:
                self._refuse(wanted)

    def do_POST(self) -> None:
        pages, wanted = self.server.pages, self._wanted()
        with suppress(ConnectionError, TimeoutError):
            length = self.headers.get("Content-Length", "")
            if wanted != "reader" or not _is_short(length):
                self._refuse(wanted)
                return
            with suppress(ValueError, AttributeError, RecursionError):
                name = json.loads(self.rfile.read(int(length))).get("wanted")
                pages.stream.points_at(*([name] if isinstance(name, str) else []))
            self._answer("text/plain", b"")

    def _pictures(self, pages: PageServer) -> None:
        """All that is drawn already, then each as it comes, a line each; at last why no more."""
        pages.reading(+1)
        try:
            self._begin("application/x-ndjson")
            known, stream, seen = set[str](), pages.stream, None
            while seen is not stream.now or not stream.ended:
                seen = stream.now
                for told, picture in arrivals(seen.scene, known):
                    known.add(told["name"])
                    self._line(as_text(told, picture))
                stream.after(seen)
            self._line({"ended": seen.scene.ended, "signs": pack_signs(seen.scene)})
        finally:
            pages.reading(-1)

    def _line(self, told: object) -> None:
        self.wfile.write(json.dumps(told).encode() + b"\n")

    def _answer(self, kind: str, body: bytes) -> None:
        self._begin(kind, len(body))
        self.wfile.write(body)

    def _begin(self, kind: str, length: int | None = None) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _refuse(self, wanted: str | None) -> None:
        self.send_error(HTTPStatus.FORBIDDEN if wanted is None else HTTPStatus.NOT_FOUND)

    def log_message(self, *_: object) -> None:
        """Nothing: the terminal belongs to the work."""


def _is_short(length: str) -> bool:
    return length.isascii() and length.isdecimal() and len(length) < 5 and int(length) <= MOST_SAID


def show(address: str) -> bool:
    """Open an address in the reader's browser; False where there is none to be seen."""
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    named = os.path.basename(os.environ.get("BROWSER", "").split(" ")[0])
    # A browser of the terminal would take the place of the progress that is told there.
    there = shown or not sys.platform.startswith("linux") or named not in ("", *OF_TERMINALS)
    if there:  # some browsers are waited for until they are closed
        Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return there
