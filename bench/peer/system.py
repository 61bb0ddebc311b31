"""The peer's processes."""

import http.client

from bench.ours import post
from bench.peer.models import database
from bench.processes import Program, wait_until
from bench.stage import Stage, System, wait_http
from lab.services import free_port

THREADS = 16
"""As many as the project's API has."""


class Peer(System):
    """gunicorn and Celery workers by their usual commands."""

    kind = "peer"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.port = free_port()
        self._environment = {"PEER_DATABASE_URL": self.database_url, "PEER_BROKER_URL": self.broker_url}
        database(self.database_url).dispose()

    def start_web(self) -> None:
        """Start gunicorn: one process and as many threads as the project's API."""
        command = ["-m", "gunicorn", "-w1", "-k", "gthread", "--threads", str(THREADS), "--keep-alive", "75", "--no-control-socket"]
        program = self.start("web", [*command, "-b", f"127.0.0.1:{self.port}", "bench.peer.web:app"], self._environment)
        wait_http(program, self.port, "/health")

    def start_worker(self, concurrency: int = 2) -> Program:
        """Start a prefork worker that sends Flower's events."""
        name = f"{self.stage.name('w')}@peer"
        command = ["-m", "celery", "-A", "bench.peer.tasks", "worker", "-c", str(concurrency), "-E", "-l", "WARNING", "-n", name]
        return self.start("worker", command, self._environment)

    def submit(self, count: int, n: int) -> None:
        """Accept `count` jobs, one a request: there is no other way."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for _ in range(count):
            post(client, "/add", {"n": n})
        client.close()

    def unfinished(self) -> int:
        """How many jobs have no result."""
        return int(self.scalar("SELECT count(*) FROM job WHERE completed IS NULL"))

    def wait_finished(self, seconds: float = 300) -> None:
        """Return when no job is left to do."""
        wait_until("the peer to finish all jobs", lambda: self.unfinished() == 0, seconds, 0.2)
