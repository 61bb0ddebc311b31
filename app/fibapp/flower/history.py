"""What the tabs Overview and Monitor show: counts, the workers' load, and samples of the last three hours. Pure: no clock, no I/O."""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

PERIOD_SECONDS = 5.0
KEPT = int(3 * 3600 / PERIOD_SECONDS)
"""How many samples are kept: three hours."""
FRESH_SECONDS = 3 * PERIOD_SECONDS
"""A worker's last word about its load is worth nothing after that."""

COUNTED = ("sent", "received", "started", "succeeded", "failed")


class Depth(NamedTuple):
    """The messages of the queue."""

    ready: int
    """Waiting for a worker."""
    unacked: int
    """With a worker."""


class Load(NamedTuple):
    """What a worker last told about itself."""

    heard: float
    """When, in seconds since 1970."""
    cpu: float
    """Percent of a core."""
    memory: float
    """Resident memory in bytes."""
    started: float
    """When it began to serve, in seconds since 1970."""
    processes: int
    """How many tasks it runs at once."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the Overview; None where the worker has not told yet, or not lately."""

    name: str
    online: bool
    running: int
    succeeded: int
    failed: int
    processes: int | None = None
    started: float | None = None
    cpu: float | None = None
    memory: float | None = None


class Sample(NamedTuple):
    """One point in time; rates are of the time since the sample before. None = nobody knows, for the broker was away."""

    time: float
    """Seconds since 1970."""
    received: float | None
    """Tasks a second, as the next two."""
    succeeded: float | None
    failed: float | None
    p50: float | None
    """Median duration in seconds of the tasks that succeeded; None without any."""
    p95: float | None
    online: int | None
    busy: int | None
    """Tasks that run, at most as many as there are processes."""
    cpu_mean: float | None
    """Percent of a core, over the workers that told it."""
    cpu_highest: float | None
    memory_mean: float | None
    """Bytes."""
    memory_highest: float | None
    ready: int | None
    """Messages, as the next."""
    unacked: int | None


class History:
    """Counts events and keeps samples; its size does not grow with what happens."""

    def __init__(self, now: float, kept: int = KEPT) -> None:
        self.since = now
        self.totals: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self.samples: deque[Sample] = deque(maxlen=kept)
        self.loads: dict[str, Load] = {}
        self._before = Counter(self.totals)
        self._at = now
        # Rounded to three digits, so that many tasks are few entries.
        self._runtimes: Counter[float] = Counter()

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take in one of Celery's events, or the workers' own `worker-load`. Raises KeyError or ValueError for a malformed one."""
        group, _, kind = str(event["type"]).partition("-")
        if group == "task" and kind in self.totals:
            self.totals[kind] += 1
            if kind == "succeeded" and (runtime := float(event.get("runtime") or 0)) > 0:
                self._runtimes[float(f"{runtime:.3g}")] += 1
        elif event["type"] == "worker-load":
            heard, cpu, memory, started = (float(event[field]) for field in ("local_received", "cpu", "memory", "started"))
            self.loads[str(event["hostname"])] = Load(heard, cpu, memory, started, int(event["processes"]))

    def rows(self, workers: Iterable[Any], counters: Mapping[str, Mapping[str, int]], now: float) -> list[Row]:
        """The Overview's lines by name, from Celery's worker states and Flower's counts of events; what others told is forgotten."""
        found = sorted((self._row(worker, counters.get(worker.hostname, {}), now) for worker in workers), key=lambda row: row.name)
        names = {row.name for row in found}
        self.loads = {name: load for name, load in self.loads.items() if name in names}
        return found

    def _row(self, worker: Any, counts: Mapping[str, int], now: float) -> Row:
        online = bool(worker.alive)
        row = Row(
            name=str(worker.hostname),
            online=online,
            running=int(worker.active or 0) if online else 0,
            succeeded=counts.get("task-succeeded", 0),
            failed=counts.get("task-failed", 0),
        )
        load = self.loads.get(row.name)
        if load is None or not online or now - load.heard > FRESH_SECONDS:
            return row
        return Row(row.name, online, row.running, row.succeeded, row.failed, load.processes, load.started, load.cpu, load.memory)

    def sample(self, now: float, rows: Sequence[Row], depth: Depth | None, *, listening: bool = True) -> None:
        """Add the sample for the time since the one before; without `listening`, what only events tell is unknown."""
        seconds = max(now - self._at, 1e-3)
        rates = {kind: (self.totals[kind] - self._before[kind]) / seconds for kind in COUNTED}
        online = [row for row in rows if row.online]
        cpu = [row.cpu for row in online if row.cpu is not None]
        memory = [row.memory for row in online if row.memory is not None]
        self.samples.append(
            Sample(
                time=now,
                received=rates["received"] if listening else None,
                succeeded=rates["succeeded"] if listening else None,
                failed=rates["failed"] if listening else None,
                p50=percentile(self._runtimes, 0.50),
                p95=percentile(self._runtimes, 0.95),
                online=len(online) if listening else None,
                busy=sum(min(row.running, row.processes or 1) for row in online) if listening else None,
                cpu_mean=fmean(cpu) if cpu else None,
                cpu_highest=max(cpu, default=None),
                memory_mean=fmean(memory) if memory else None,
                memory_highest=max(memory, default=None),
                ready=depth.ready if depth else None,
                unacked=depth.unacked if depth else None,
            )
        )
        self._before, self._at = Counter(self.totals), now
        self._runtimes.clear()

    def after(self, time: float) -> dict[str, list[float | None]]:
        """The samples taken after `time`, by column, with four significant digits (the time with all)."""
        newer = [sample for sample in self.samples if sample.time > time]
        columns = {name: [_short(sample[index]) for sample in newer] for index, name in enumerate(Sample._fields)}
        return columns | {"time": [sample.time for sample in newer]}


def silent(names: Iterable[str], workers: Mapping[str, Any], since: float | None, patience: float, now: float) -> set[str]:
    """Those of `names` that nothing was heard of for `patience` seconds in which we listened (`since` then; None = not now)."""
    if since is None or now - since < patience:
        return set()
    # A worker that took its leave has no heartbeats any more.
    heard = {name: max(worker.heartbeats, default=getattr(worker, "timestamp", 0.0)) for name, worker in workers.items()}
    return {name for name in names if now - heard.get(name, 0.0) >= patience}


def percentile(counts: Mapping[float, int], share: float) -> float | None:
    """The smallest value that at least `share` of all are not above; None when there are none."""
    rank = math.ceil(share * sum(counts.values()))
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return None


def _short(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else float(f"{value:.4g}")
