"""The main process of the worker pod: starts the working processes, bounds their jobs, and tells the store what became of the dead."""

import logging
import os
import signal
import time
from dataclasses import dataclass, field
from functools import partial
from types import FrameType

from fibapp import httpd
from fibapp.backoff import Backoff
from fibapp.bell import Bell
from fibapp.settings import Settings
from fibapp.store import Database
from fibapp.store.claims import ClaimStore, Held
from fibworker import child as program
from fibworker.leases import LeaseKeeper
from fibworker.observe import Totals
from fibworker.processes import Process, Starter
from fibworker.slots import Now, Phase, Slot

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
STUCK_SECONDS = 30.0
LONG_LIFE_SECONDS = 30.0
LEAVE_SECONDS = 10.0
"""After the signal to stop: how long a process that computes nothing may take to leave, and the last notes to reach the store."""


@dataclass(slots=True)
class Child:
    """One working process and what is known about it."""

    name: str
    slot: Slot
    process: Process | None = None
    born: float = 0.0
    next_start: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(0.1, 10.0))
    verdict: tuple[Held, str] | None = None
    """The job the process was ended for, and why: "time limit", "lost" or "the store is away"."""
    seen: Now = field(default_factory=lambda: Now(Phase.STARTING))
    seen_since: float = 0.0
    """What it was last seen doing, and since when."""

    def look(self, now: float) -> Now:
        """What it does at the time `now`; remembers since when."""
        state = self.slot.read()
        if state != self.seen:
            self.seen, self.seen_since = state, now
        return state


class Supervisor:
    """Watches the working processes until told to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit = settings.job_time_limit_seconds
        database = Database(settings.database_url.get_secret_value(), role="supervisor", connections=1, timeout=5.0)
        store = ClaimStore(database, lease_seconds=settings.lease_seconds, max_crashes=settings.max_crashes)
        self._keeper = LeaseKeeper(store, self._running, self._on_lost)
        self._children = [Child(name, Slot.create()) for name in node_names(settings.pod_name, settings.worker_concurrency)]
        self._starter = Starter()
        self._totals = Totals()
        self._lost: set[Held] = set()
        self._signals = 0
        self._stopping_since: float | None = None
        self._bell = Bell()
        self._tick = time.monotonic()

    def fork(self) -> None:
        """Start the processes as copies of this one, which halves their start. Only before it has threads, connections and handlers."""
        for child in self._children:
            self._is_born(child, self._starter.fork(partial(program.work, self._settings, child.name, child.slot)))

    def run(self) -> None:
        """Supervise until SIGTERM and until the last job is finished; a second signal ends the jobs, too."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda *_: self._bell.ring())
        self._keeper.start()
        while self._signals == 0 or any(child.process for child in self._children):
            self._tick = time.monotonic()
            if self._signals:
                self._leave()
            for child in self._children:
                self._look_after(child)
            self._bell.wait(TICK_SECONDS)
        self._keeper.finish(LEAVE_SECONDS)

    def stuck(self) -> str | None:
        """What is wrong with the supervisor itself, if anything."""
        idle = time.monotonic() - self._tick
        return f"the supervisor stands still for {idle:.0f} s" if idle > STUCK_SECONDS else None

    def unready(self) -> str | None:
        """Why no job could be taken now: no process reached the queue."""
        if self._signals:
            return "stopping"
        ready = [child for child in self._children if child.process and child.slot.read().phase != Phase.STARTING]
        return None if ready else "no process has reached the queue yet"

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._bell.ring()

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if not self._signals and now >= child.next_start:
                self._start(child)
            return
        status = child.process.poll()
        if status is not None:
            self._bury(child, status)
            return
        self._totals.observe(child.name, child.slot.counters())
        state = child.look(now)
        if state.held is None or child.verdict:
            return
        if state.held in self._lost:
            self._end(child, state.held, "lost")
        elif state.phase in (Phase.COMPUTING, Phase.STORING) and now - state.since > self._limit:
            self._end(child, state.held, "time limit")

    def _start(self, child: Child) -> None:
        child.slot.close()
        child.slot = Slot.create()
        child.verdict = None
        arguments = ["-m", program.__name__, "--name", child.name, "--slot", str(child.slot.descriptor)]
        self._is_born(child, self._starter.execute(arguments, child.slot.descriptor))

    def _is_born(self, child: Child, process: Process) -> None:
        child.process, child.born = process, time.monotonic()
        logger.info("started %s, process %d", child.name, process.pid)

    def _end(self, child: Child, held: Held, why: str) -> None:
        logger.warning("ending %s: job %s, %s", child.name, held.job_id, why)
        child.verdict = (held, why)
        if child.process:
            child.process.kill()

    def _bury(self, child: Child, status: int) -> None:
        """The process is gone: say so about its job, and start another soon."""
        state = child.slot.read()
        self._totals.observe(child.name, child.slot.counters())
        self._totals.forget(child.name)
        held, verdict = state.held, child.verdict
        if held is not None:
            if verdict is not None and verdict[0] == held:
                if verdict[1] == "time limit" and state.phase == Phase.COMPUTING:
                    self._keeper.failed(held, f"exceeded the time limit of {self._limit:g} s")
                elif verdict[1] != "lost":
                    self._keeper.released(held)  # computed, but the store was away
            elif verdict is not None or self._signals > 1:
                self._keeper.released(held)  # ended for another job, or by a hurried shutdown
            else:
                self._keeper.crashed(held, f"its process was {_ended(status)}")
            self._keeper.released_others(held)
            self._lost.discard(held)
        if not self._signals:
            logger.warning("%s was %s", child.name, _ended(status))
        child.process = None
        now = time.monotonic()
        if verdict is not None or now - child.born > LONG_LIFE_SECONDS:
            child.backoff.reset()
        child.next_start = now + (0.0 if verdict is not None else child.backoff.next())
        child.slot.write(Now(Phase.STARTING))

    def _leave(self) -> None:
        """Ask the processes to finish their job and go; those that only wait for the store are not waited for long.

        The store may be gone for good: when a whole pipeline is deleted, nothing says that the database goes last.
        """
        now = time.monotonic()
        first, self._stopping_since = self._stopping_since is None, self._stopping_since or now
        for child in self._children:
            if child.process is None:
                continue
            state = child.look(now)
            waits = overstays(state.phase, max(self._stopping_since, child.seen_since), now)
            if waits and state.held is not None and child.verdict is None:
                self._end(child, state.held, "the store is away")
            elif waits or self._signals > 1:
                child.process.kill()
            elif first:
                child.process.terminate()

    def _running(self) -> list[tuple[Held, float]]:
        now = time.monotonic()
        states = [child.slot.read() for child in self._children if child.process]
        return [(state.held, now - state.since) for state in states if state.held is not None]

    def _on_lost(self, held: Held) -> None:
        self._lost.add(held)
        self._bell.ring()


def node_names(pod: str, concurrency: int) -> list[str]:
    """The Celery node names: one a process, unique in the cluster (control queues are exclusive: of two equal names the second dies)."""
    return [f"worker@{pod}"] if concurrency == 1 else [f"worker-{k}@{pod}" for k in range(1, concurrency + 1)]


def overstays(phase: Phase, since: float, now: float) -> bool:
    """Told to stop, has a process been in `phase` since a time too long ago? One that computes may go on."""
    return phase != Phase.COMPUTING and now - since > LEAVE_SECONDS


def _ended(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def run(settings: Settings) -> None:
    """Supervise until SIGTERM; health and metrics on the worker port."""
    os.environ["FIB_POD_NAME"] = settings.pod_name
    supervisor = Supervisor(settings)
    supervisor.fork()
    routes = {"/healthz": httpd.health(supervisor.stuck), "/readyz": httpd.health(supervisor.unready), "/metrics": httpd.metrics}
    httpd.serve(settings.listen_host, settings.worker_port, routes)
    supervisor.run()
