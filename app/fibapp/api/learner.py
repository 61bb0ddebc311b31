"""Keeping the learned costs up to date without asking often."""

import time
from threading import Lock

from fibapp.costs import Costs, learn
from fibapp.store.load import LATEST, LoadStore

SETTLED_SECONDS = 60.0
YOUNG_SECONDS = 5.0
"""How long costs are kept that rest on few jobs yet."""


class Learner:
    """The costs, shared by all threads of the process."""

    def __init__(self, store: LoadStore) -> None:
        self._store = store
        self._lock = Lock()
        self._costs = Costs()
        self._fresh_until = 0.0

    def costs(self) -> Costs:
        """What jobs are expected to cost. Raises StoreAway."""
        with self._lock:
            if time.monotonic() >= self._fresh_until:
                self._costs = learn(self._store.measured())
                settled = max(self._costs.recursive.measured, self._costs.fast.measured) >= LATEST
                self._fresh_until = time.monotonic() + (SETTLED_SECONDS if settled else YOUNG_SECONDS)
            return self._costs
