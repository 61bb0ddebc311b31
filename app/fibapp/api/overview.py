"""What the page shows of the pipeline as a whole: one look for all who watch, and what can honestly be said about each part."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from fibapp.api.history import History, Point
from fibapp.api.learner import Learner
from fibapp.api.stats import Stats
from fibapp.broker import Cause
from fibapp.costs import Costs
from fibapp.load import Load, measure, pod_of
from fibapp.store import StoreAway
from fibapp.store.broker_errors import BrokerErrorStore
from fibapp.store.load import Decision, LoadStore
from fibapp.store.view import Computing, Unpublished, ViewStore
from fibapp.words import number, plural, span

FRESH_SECONDS = 1.0
COST_FACTOR = 20
"""Looking may take at most a twentieth of the time."""
LATE_SECONDS = 5.0
"""A relay hands a job to the broker within milliseconds; what waits for this long cannot be handed over."""
STUCK_SECONDS = 15.0
"""While no job runs at all, the first of the queue waits no longer than this if there is a worker."""
MOST_CARDS = 24

Mood = Literal["idle", "active", "warn", "plain"]


@dataclass(frozen=True, slots=True)
class Seen:
    """The pipeline at one moment."""

    counts: dict[str, int]
    load: Load
    computing: Sequence[Computing]
    unpublished: Unpublished
    decision: Decision | None
    costs: Costs
    rates: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Tile:
    """One part of the pipeline: its figure with the unit, its mood, and a sentence."""

    number: str
    unit: str
    mood: Mood
    words: str


class Overview:
    """Looks at the pipeline for all requests of the process."""

    def __init__(self, stats: Stats, loads: LoadStore, views: ViewStore, broker_errors: BrokerErrorStore, learner: Learner) -> None:
        self.history = History()
        self._stats = stats
        self._loads = loads
        self._views = views
        self._broker_errors = broker_errors
        self._learner = learner
        self._lock = Lock()
        self._seen: Seen | None = None
        self._failure: StoreAway | None = None
        self._fresh_until = 0.0

    def see(self) -> Seen:
        """The present view, at most about a second old. Raises StoreAway, and again for a second without asking: nobody waits twice."""
        with self._lock:
            begun = time.monotonic()
            if begun >= self._fresh_until:
                try:
                    self._seen, self._failure = self._look(), None
                except StoreAway as error:
                    self._failure = error
                ended = time.monotonic()
                self._fresh_until = ended + (FRESH_SECONDS if self._failure else max(FRESH_SECONDS, COST_FACTOR * (ended - begun)))
            if self._failure is not None:
                raise self._failure
            assert self._seen is not None, "seen or failed above"
            return self._seen

    def costs(self) -> Costs:
        """What jobs are expected to cost, as far as this application saw it; asks nobody."""
        seen = self._seen
        return seen.costs if seen else Costs()

    def _look(self) -> Seen:
        costs, counts, decision = self._learner.costs(), self._stats.counts(), self._stats.decision()
        load = measure(self._loads.work(), costs, self._broker_errors.lasting())
        scale = (decision.workers, decision.min, decision.max) if decision else (None, None, None)
        self.history.add(Point(time.time(), load.queued, load.running, counts["done"], counts["total"], *scale))
        return Seen(counts, load, self._views.computing(), self._views.unpublished(), decision, costs, self.history.rates())


def tiles(seen: Seen) -> dict[str, Tile]:
    """What each of the five parts does. Nothing is said of a part that this application cannot know."""
    return {
        "ingest": _ingest(seen),
        "process": _process(seen),
        "store": _store(seen),
        "visualize": Tile("", "", "plain", "Tasks and workers, as Celery reports them. Asks for the pipeline's Flower login."),
        "interface": _interface(seen),
    }


def resting(seen: Seen) -> int:
    """How many workers hold no job, by the operator's count; 0 while it does not say."""
    busy = {pod_of(each.worker) for each in seen.computing}
    return max(0, seen.decision.workers - len(busy)) if seen.decision else 0


def _ingest(seen: Seen) -> Tile:
    waiting, late = seen.load.queued, seen.unpublished
    if late.jobs and late.seconds > LATE_SECONDS:
        broker = seen.load.broker
        # Other errors name hosts or users: they belong into the status, not on a public page.
        why = f" It is in alarm: {broker.words}." if broker and broker.cause is Cause.ALARM else ""
        words = f"{plural(late.jobs, 'job')} not handed over yet: kept in the store, sent once the broker takes messages.{why}"
        return Tile(number(waiting), "waiting", "warn", words)
    if waiting:
        return Tile(number(waiting), "waiting", "active", f"{span(seen.load.seconds)} of work for one worker process.")
    return Tile("0", "waiting", "idle", "No job waits.")


def _process(seen: Seen) -> Tile:
    busy = len({pod_of(each.worker) for each in seen.computing})
    unit = f"of {plural(seen.decision.workers, 'worker')} busy" if seen.decision else "busy"
    if busy:
        return Tile(number(busy), unit, "active", f"{plural(seen.load.running, 'job')} claimed.")
    if seen.load.queued and seen.load.oldest_wait_seconds > STUCK_SECONDS:
        return Tile("0", unit, "warn", f"No worker takes jobs; the first waits for {span(seen.load.oldest_wait_seconds)}.")
    return Tile("0", unit, "idle", "No job is claimed at the moment.")


def _store(seen: Seen) -> Tile:
    failed = seen.counts["failed"]
    rate = seen.rates[1] if seen.rates else 0
    words = "Each stored once." + (f" {number(rate)} results/s." if rate else "") + (f" {plural(failed, 'job')} failed." if failed else "")
    return Tile(number(seen.counts["done"]), "results", "active" if rate else "idle", words)


def _interface(seen: Seen) -> Tile:
    rate = seen.rates[0] if seen.rates else None
    words = f"{number(seen.counts['total'])} accepted in all."
    if rate is None:
        return Tile("-", "accepted/s", "idle", words)
    return Tile(number(rate), "accepted/s", "active" if rate else "idle", words)
