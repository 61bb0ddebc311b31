"""A small HTTP server for what only the cluster asks: health and metrics."""

import logging
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

logger = logging.getLogger(__name__)

Answer = tuple[int, str, bytes]
Route = Callable[[], Answer]


def metrics() -> Answer:
    """Prometheus's view of this process."""
    return 200, CONTENT_TYPE_LATEST, generate_latest()


def health(check: Callable[[], str | None]) -> Route:
    """A route that answers 200, or 503 with what `check` finds wrong."""

    def answer() -> Answer:
        wrong = check()
        return (503 if wrong else 200), "text/plain; charset=utf-8", f"{wrong or 'ok'}\n".encode()

    return answer


def serve(host: str, port: int, routes: Mapping[str, Route]) -> ThreadingHTTPServer:
    """Answer `routes` (path -> answer) on a thread of its own until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        server_version = "fibpipeline"
        sys_version = ""
        timeout = 10

        def do_GET(self) -> None:
            route = routes.get(self.path.partition("?")[0])
            status, kind, body = route() if route else (404, "text/plain; charset=utf-8", b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            logger.debug(format, *args)

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="httpd", daemon=True).start()
    return server
