"""The project's own processes, as the operator's pods run them."""

import http.client
import json
from typing import Any

from bench.processes import Program, wait_until
from bench.stage import Stage, System, wait_http
from lab.services import free_port


class Ours(System):
    """One pipeline: API, relay and workers by their real commands and default settings."""

    kind = "ours"

    def __init__(self, stage: Stage, **settings: str) -> None:
        """`settings` are FIB_... variables for all processes."""
        super().__init__(stage)
        self.api_port = free_port()
        self._settings = settings
        self._role("migrate", {}).answer()

    def _role(self, role: str, more: dict[str, str]) -> Program:
        arguments = ["-m", "fibworker"] if role == "worker" else ["-m", "fibapp", role]
        settings = {
            "FIB_DATABASE_URL": self.database_url,
            "FIB_BROKER_URL": self.broker_url,
            "FIB_LISTEN_HOST": "127.0.0.1",
            "FIB_LOG_LEVEL": "WARNING",
            # All jobs of a benchmark come from one address.
            "FIB_MAX_QUEUED_PER_CLIENT": "100000000",
            **self._settings,
        }
        return self.start(role, arguments, {**settings, **more})

    def start_api(self) -> Program:
        """Start the API and wait until it serves."""
        program = self._role("api", {"FIB_API_PORT": str(self.api_port), "FIB_API_INTERNAL_PORT": str(free_port())})
        wait_http(program, self.api_port, "/api/readyz")
        return program

    def start_relay(self) -> None:
        """Start a relay and wait until it serves."""
        port = free_port()
        wait_http(self._role("relay", {"FIB_RELAY_PORT": str(port)}), port, "/healthz")

    def start_workers(self, count: int = 1, *, concurrency: int = 1, wait: bool = True) -> list[Program]:
        """Start the processes of `count` worker pods, and wait until all can take jobs."""
        started: list[tuple[Program, int]] = []
        for _ in range(count):
            port = free_port()
            more = {"FIB_WORKER_PORT": str(port), "FIB_POD_NAME": f"pod-{port}", "FIB_WORKER_CONCURRENCY": str(concurrency)}
            started.append((self._role("worker", more), port))
        for program, port in started if wait else ():
            wait_http(program, port, "/readyz")
        return [program for program, _ in started]

    def submit(self, count: int, n: int, algorithm: str = "recursive") -> None:
        """Accept `count` jobs in batches of 1,000 at most."""
        client = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=30)
        while count > 0:
            size = min(count, 1000)
            post(client, "/api/batches", {"jobs": [{"n": n, "algorithm": algorithm}] * size})
            count -= size
        client.close()

    def wait_published(self) -> None:
        """Return when every accepted job has its message."""
        wait_until("all jobs published", lambda: self.scalar("SELECT NOT EXISTS (SELECT FROM jobs WHERE publishes = 0)"), 120)

    def wait_finished(self, seconds: float = 120) -> None:
        """Return when no job is left to do."""
        wait_until(
            "all jobs finished",
            lambda: self.scalar("SELECT NOT EXISTS (SELECT FROM jobs WHERE state IN ('queued', 'running'))"),
            seconds,
            0.2,
        )


def post(client: http.client.HTTPConnection, path: str, document: Any) -> Any:
    """POST JSON on an open connection; the answer, which must be 202."""
    client.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
    answer = client.getresponse()
    body = answer.read()
    assert answer.status == 202, body[:500]
    return json.loads(body)
