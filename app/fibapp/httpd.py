"""A small HTTP server for what only the cluster asks: health, metrics and the load."""

import logging
import socket
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

logger = logging.getLogger(__name__)

Answer = tuple[int, str, bytes]
Route = Callable[[], Answer]
Reader = Callable[[bytes], Answer]

MAX_BODY_BYTES = 16 * 1024

_TEXT = "text/plain; charset=utf-8"
_NOT_FOUND: Answer = 404, _TEXT, b"not found\n"


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

    def server_bind(self) -> None:
        """Let an IPv6 socket answer IPv4 too, whatever the node's default is."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a bug as such; a connection that broke is nobody's."""
        level = logging.DEBUG if isinstance(sys.exception(), OSError) else logging.ERROR
        logger.log(level, "answering %s failed", client_address, exc_info=True)


def serve(host: str, port: int, routes: Mapping[str, Route], readers: Mapping[str, Reader] | None = None) -> Server:
    """Answer GETs by `routes` and POSTs by `readers` (path -> answer), on threads of their own until the process ends."""
    posts = readers or {}

    class Handler(BaseHTTPRequestHandler):
        server_version = "fibpipeline"
        sys_version = ""
        timeout = 10

        def do_GET(self) -> None:
            route = routes.get(self.path.partition("?")[0])
            self._answer(*(route() if route else _NOT_FOUND))

        def do_POST(self) -> None:
            reader = posts.get(self.path)
            length = self.headers.get("Content-Length", "")
            if reader is None:
                self._answer(*_NOT_FOUND)
            elif not length.isdecimal():
                self._answer(411, _TEXT, b"send a Content-Length\n")
            elif int(length) > MAX_BODY_BYTES:
                self._answer(413, _TEXT, b"the body is too large\n")
            else:
                self._answer(*reader(self.rfile.read(int(length))))

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
