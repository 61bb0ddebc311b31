"""What watchers of the pipeline ask again and again, without letting many of them make the database work."""

import time
from threading import Lock
from typing import Any

from fibapp.api.learner import Learner
from fibapp.jobs import STATES, rfc3339
from fibapp.store.jobs import JobStore
from fibapp.store.load import Decision, LoadStore

FRESH_SECONDS = 1.0
COST_FACTOR = 20
"""Counting may take at most a twentieth of the time: the dearer it gets, the longer a count is kept."""


class Stats:
    """The counts and the operator's decision, shared by all requests of the process, and the costs."""

    def __init__(self, store: JobStore, loads: LoadStore, learner: Learner) -> None:
        self._store = store
        self._loads = loads
        self._learner = learner
        self._lock = Lock()
        self._counts: dict[str, int] = {}
        self._decision: Decision | None = None
        self._fresh_until = 0.0

    def document(self) -> dict[str, Any]:
        """Everything. Raises StoreAway."""
        counts, decision = self.counts(), self.decision()
        scaling = None
        if decision is not None:
            names = ("workers", "floor", "min", "max", "sentence")
            scaling = {**{name: getattr(decision, name) for name in names}, "at": rfc3339(decision.at)}
        return {**counts, "scaling": scaling, "costs": self._learner.costs().document()}

    def counts(self) -> dict[str, int]:
        """Jobs by state, and in total. Raises StoreAway."""
        with self._lock:
            self._refresh()
            return {**self._counts, "total": sum(self._counts.values())}

    def decision(self) -> Decision | None:
        """What the operator decided last, None while it does not say. Raises StoreAway."""
        with self._lock:
            self._refresh()
            return self._decision

    def _refresh(self) -> None:
        begun = time.monotonic()
        if begun >= self._fresh_until:
            found = self._store.count_states()
            self._decision = self._loads.decision()
            self._counts = {state: found.get(state, 0) for state in STATES}
            ended = time.monotonic()
            self._fresh_until = ended + max(FRESH_SECONDS, COST_FACTOR * (ended - begun))
