"""One answer for many: what all watchers ask is made and compressed once a second, and sent only to those who do not have it."""

import gzip
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock

FRESH_SECONDS = 1.0
MOST = 64
"""So many different answers are kept; of more, the one asked for longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A document, also compressed, and its validator."""

    body: bytes
    packed: bytes
    etag: str


@dataclass(slots=True)
class _Entry:
    lock: Lock = field(default_factory=Lock)
    until: float = 0.0
    answer: Answer | None = None
    failure: Exception | None = None


class Shared:
    """Answers by key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], str]) -> Answer:
        """The answer of `key`, made by `make` if it is stale. Whoever comes meanwhile waits for it, and shares a failure, too."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            if len(self._entries) > MOST:
                self._entries.popitem(last=False)
        with entry.lock:
            if self._clock() >= entry.until:
                try:
                    entry.answer, entry.failure = answer(make(), entry.answer), None
                except Exception as error:
                    entry.failure = error
                entry.until = self._clock() + FRESH_SECONDS
            if entry.failure is not None:
                raise entry.failure
            assert entry.answer is not None, "made or failed above"
            return entry.answer

    def forget(self) -> None:
        """Something was changed by a person who wants to see it: make everything anew."""
        with self._lock:
            self._entries.clear()


def answer(text: str, before: Answer | None = None) -> Answer:
    """`text` as an answer; the one `before` if that is the same."""
    body = text.encode()
    if before is not None and before.body == body:
        return before
    return Answer(body, gzip.compress(body, 6), hashlib.sha256(body).hexdigest()[:24])
