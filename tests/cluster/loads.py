"""Stands in for the internal port of API pods: answers the operator's questions with a load that the test sets, and keeps its decisions."""

import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

IDLE: dict[str, Any] = {"queued": 0, "running": 0, "seconds": 0.0, "running_seconds": 0.0, "busy": {}}


class LoadServer:
    """Answers for the pipeline of one namespace and keeps what it is asked; one of another namespace gets no answer."""

    def __init__(self, namespace: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.most_at_once = 0
        self._at_once = 0
        self.decision: dict[str, Any] | None = None
        """The last decision that was told."""
        self.decisions = 0
        self.old = False
        """Whether it answers like the app of release 0.1."""
        self.refuses = 0
        """So many pushes are answered with 503."""
        self._connections: list[socket.socket] = []
        self._changed = threading.Condition()
        self._load: dict[str, Any] = {}
        self.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._connections.append(self.connection)
                path, _, query = self.path.partition("?")
                asked = dict(parse_qsl(query))
                if path != f"/{namespace}/load" or outer.old:
                    self.send_error(404)
                    return
                self._send(outer._answer({"seen": asked.get("since"), "wait": float(asked["wait"])}))

            def do_PUT(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != f"/{namespace}/scaling" or outer.old:
                    self.send_error(404)
                elif outer.refuses > 0:
                    outer.refuses -= 1
                    self.send_error(503)
                else:
                    outer.keep(body)
                    self._send({})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != f"/{namespace}/load" or not outer.old:
                    self.send_error(404)
                    return
                outer.keep(body.pop("decision"))
                answer = outer._answer(body)
                del answer["decision"]
                self._send(answer)

            def _send(self, document: dict[str, Any]) -> None:
                answer = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] - the operator may hang up
        self.url = f"http://127.0.0.1:{self._server.server_port}/{{namespace}}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Answer nobody any more, those who wait included."""
        self._server.shutdown()
        self._server.server_close()

    def set(self, queued: int = 0, seconds: float = 0.0, busy: dict[str, float] | None = None) -> None:
        """Change the load; `busy` maps pods to the seconds that their one job needs still."""
        running = {pod: {"jobs": 1, "remaining_seconds": left} for pod, left in (busy or {}).items()}
        figures = {"queued": queued, "seconds": seconds, "running": len(running), "running_seconds": sum((busy or {}).values())}
        with self._changed:
            self._load = {**IDLE, **figures, "busy": running, "version": f"{queued}:{seconds}:{sorted((busy or {}).items())}"}
            self._changed.notify_all()

    def hang_up(self) -> None:
        """Break the connections of all who wait."""
        while self._connections:
            with suppress(OSError):
                self._connections.pop().shutdown(socket.SHUT_RDWR)

    def keep(self, decision: dict[str, Any] | None) -> None:
        """Take in a decision, or lose it."""
        with self._changed:
            self.decision = decision
            self.decisions += 1

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        end = time.monotonic() + asked["wait"]
        with self._changed:
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            while self._load["version"] == asked["seen"] and time.monotonic() < end:
                self._changed.wait(end - time.monotonic())
            self._at_once -= 1
            return {**self._load, "oldest_wait_seconds": 0.0, "decision": self.decision}
