"""The floors' processes."""

import json

from bench.processes import Program
from bench.stage import System, wait_http
from lab.services import free_port


class Floor(System):
    """The floors of one benchmark."""

    kind = "floor"

    def start_validate(self, threads: int) -> int:
        """Start the application that only validates, in one gunicorn process; returns its port."""
        port = free_port()
        command = ["-m", "gunicorn", "-w1", "-k", "gthread", "--threads", str(threads), "--keep-alive", "75", "--no-control-socket"]
        wait_http(self.start("validate", [*command, "-b", f"127.0.0.1:{port}", "bench.floors.validate:app"], {}), port, "/health")
        return port

    def publish(self, count: int) -> float:
        """Publish `count` messages; how many a second."""
        return float(self.start("publish", ["-m", "bench.floors.publish", self.broker_url, str(count)], {}).answer())

    def consume(self, processes: int) -> float:
        """Consume everything in the queue by so many processes; how many messages a second."""
        programs: list[Program] = [self.start("consume", ["-m", "bench.floors.consume", self.broker_url], {}) for _ in range(processes)]
        parts = [json.loads(program.answer()) for program in programs]
        return float(sum(part["count"] for part in parts) / (max(part["end"] for part in parts) - min(part["begin"] for part in parts)))
