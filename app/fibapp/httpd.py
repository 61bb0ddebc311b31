"""A small HTTP server for what only the cluster asks: health, metrics and the load."""

import logging
import select
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

logger = logging.getLogger(__name__)

Answer = tuple[int, str, bytes]
Route = Callable[[], Answer]

MAX_BODY_BYTES = 16 * 1024
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A peer that vanished without a word is given up after a minute, see tcp(7)."""

_TEXT = "text/plain; charset=utf-8"
_NOT_FOUND: Answer = 404, _TEXT, b"not found\n"


@dataclass(frozen=True, slots=True)
class Request:
    """What a handler needs to know of a request."""

    query: dict[str, str]
    body: bytes
    is_open: Callable[[], bool]
    """Is the client still there? For an answer that takes its time."""


Handle = Callable[[Request], Answer]


def metrics() -> Answer:
    """Prometheus's view of this process."""
    return 200, CONTENT_TYPE_LATEST, generate_latest()


def health(check: Callable[[], str | None]) -> Route:
    """A route that answers 200, or 503 with what `check` finds wrong."""

    def answer() -> Answer:
        wrong = check()
        return (503 if wrong else 200), _TEXT, f"{wrong or 'ok'}\n".encode()

    return answer


def any_address() -> str:
    """The address that stands for all of both families, or for all of IPv4 where the node has no IPv6.

    A kubelet probes the primary address of a pod, which in an IPv6 cluster is no IPv4 address.
    """
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  a container is reached by its Service


class Server(ThreadingHTTPServer):
    """One thread a connection."""

    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        """`host` is the address to listen on; empty: all addresses."""
        host = host or any_address()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Notice a client whose node is gone, however long it waits for its answer."""
        connection, address = super().get_request()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE.items():
            if hasattr(socket, option):  # not everywhere
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return connection, address

    def server_bind(self) -> None:
        """Let an IPv6 socket answer IPv4 too, whatever the node's default is."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a bug as such; a connection that broke is nobody's."""
        level = logging.DEBUG if isinstance(sys.exception(), OSError) else logging.ERROR
        logger.log(level, "answering %s failed", client_address, exc_info=True)


def is_open(connection: socket.socket) -> bool:
    """Has the client not hung up? One that sends more than its request counts as there."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    try:
        return not poll.poll(0) or bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def serve(host: str, port: int, routes: Mapping[str, Route], handlers: Mapping[tuple[str, str], Handle] | None = None) -> Server:
    """Answer GETs by `routes` (path -> answer) and others by `handlers` (method and path), on threads, until the process ends."""
    others = handlers or {}

    class Handler(BaseHTTPRequestHandler):
        server_version = "fibpipeline"
        sys_version = ""
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            route = routes.get(path)
            if handle := others.get(("GET", path)):
                self._answer(*handle(self._request(b"")))
            else:
                self._answer(*(route() if route else _NOT_FOUND))

        def do_POST(self) -> None:
            self._take("POST")

        def do_PUT(self) -> None:
            self._take("PUT")

        def _take(self, method: str) -> None:
            handle = others.get((method, self.path.partition("?")[0]))
            length = self.headers.get("Content-Length", "")
            if handle is None:
                self._answer(*_NOT_FOUND)
            elif not length.isdecimal():
                self._answer(411, _TEXT, b"send a Content-Length\n")
            elif int(length) > MAX_BODY_BYTES:
                self._answer(413, _TEXT, b"the body is too large\n")
            else:
                self._answer(*handle(self._request(self.rfile.read(int(length)))))

        def _request(self, body: bytes) -> Request:
            # Of a parameter that comes twice the last one counts.
            query = dict(parse_qsl(self.path.partition("?")[2], keep_blank_values=True))
            return Request(query, body, lambda: is_open(self.connection))

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            logger.debug(format, *args)

    server = Server(host, port, Handler)
    Thread(target=server.serve_forever, name="httpd", daemon=True).start()
    return server
