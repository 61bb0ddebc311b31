"""What a working process takes of the machine, told to Flower: Celery's own heartbeat has only the load of the whole node."""

import os
import time
from pathlib import Path
from typing import Any

from celery import bootsteps

SECONDS = 5.0
"""How often it is told."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Meter:
    """Measures this process from one look to the next."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def cpu(self) -> float:
        """Percent of a core taken since the last look."""
        wall, cpu = time.monotonic(), time.process_time()
        taken = 100 * (cpu - self._cpu) / max(wall - self._wall, 1e-3)
        self._wall, self._cpu = wall, cpu
        return taken


def memory() -> int:
    """This process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


class LoadStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Sends the event `worker-load` every five seconds, for as long as there is a connection to the broker.

    Its fields: `cpu` in percent of a core, `memory` in bytes, `started` in seconds since 1970, `processes` = how many jobs at once.
    """

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._started = time.time()
        self._meter = Meter()
        self._entry: Any = None

    def start(self, consumer: Any) -> None:
        """Connected, for the first time or again."""
        self._meter = Meter()
        self._entry = consumer.timer.call_repeatedly(SECONDS, self._send, (consumer,))

    def stop(self, consumer: Any) -> None:
        """The connection is gone, or the process is about to end."""
        if self._entry is not None:
            consumer.timer.cancel(self._entry)
            self._entry = None

    shutdown = stop

    def _send(self, consumer: Any) -> None:
        consumer.event_dispatcher.send(
            "worker-load",
            cpu=round(self._meter.cpu(), 1),
            memory=memory(),
            started=self._started,
            processes=consumer.pool.num_processes,
        )
