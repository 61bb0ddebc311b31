"""Counting jobs by state without letting many watchers count at once."""

import time
from threading import Lock

from fibapp.jobs import STATES
from fibapp.store.jobs import JobStore

FRESH_SECONDS = 1.0
COST_FACTOR = 20
"""Counting may take at most a twentieth of the time: the dearer it gets, the longer a count is kept."""


class Stats:
    """The counts, shared by all requests of the process."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._lock = Lock()
        self._counts: dict[str, int] = {}
        self._fresh_until = 0.0

    def counts(self) -> dict[str, int]:
        """Jobs by state, and in total. Raises StoreAway."""
        with self._lock:
            begun = time.monotonic()
            if begun >= self._fresh_until:
                found = self._store.count_states()
                self._counts = {state: found.get(state, 0) for state in STATES}
                ended = time.monotonic()
                self._fresh_until = ended + max(FRESH_SECONDS, COST_FACTOR * (ended - begun))
            return {**self._counts, "total": sum(self._counts.values())}
