"""The worker's metrics: sums over its processes that survive their restarts."""

from prometheus_client import Counter

from fibworker.slots import ENDINGS, Counters

MESSAGES = Counter("fib_worker_messages_total", "Messages by how they ended", ["ending"])
SECONDS = Counter("fib_worker_computing_seconds_total", "Time spent computing")


class Totals:
    """Adds what each process counted since it was last looked at."""

    def __init__(self) -> None:
        self._seen: dict[str, Counters] = {}

    def observe(self, name: str, counters: Counters) -> None:
        """Take in the counters of the process `name`."""
        seen = self._seen.get(name, Counters())
        for ending, before, now in zip(ENDINGS, seen.endings, counters.endings, strict=True):
            MESSAGES.labels(ending).inc(max(0, now - before))
        SECONDS.inc(max(0.0, counters.seconds - seen.seconds))
        self._seen[name] = counters

    def forget(self, name: str) -> None:
        """The process is gone; its successor counts from zero."""
        self._seen.pop(name, None)
