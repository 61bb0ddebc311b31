"""A keyed work queue: merges duplicates, runs one pass per key at a time, delays and backs off per key."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 120.0

logger = logging.getLogger(__name__)


class WorkQueue(Generic[Key]):
    """Keys waiting for a pass.

    A key that is added while it waits is merged; one that is added while its pass runs gets another pass afterwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: deque[Key] = deque()
        self._since: dict[Key, float] = {}  # waiting keys, and since when
        self._running: set[Key] = set()
        self._again: set[Key] = set()  # running keys that were added meanwhile
        self._timers: dict[Key, tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[Key, tuple[int, float]] = {}  # how many in a row, and when the delay after the last is over
        self._ready = asyncio.Condition()
        self._wakeups: set[asyncio.Task[None]] = set()
        self.last_progress = clock()

    def __len__(self) -> int:
        """How many keys wait for a pass now; delayed ones are not counted."""
        return len(self._waiting)

    def oldest_wait(self) -> float:
        """For how many seconds the oldest waiting key has waited; 0 when none waits."""
        return self._clock() - self._since[self._waiting[0]] if self._waiting else 0.0

    def add(self, key: Key) -> None:
        """Ask for a pass as soon as a worker is free."""
        self._cancel_timer(key)
        if key in self._running:
            self._again.add(key)
        elif key not in self._since:
            self._waiting.append(key)
            self._since[key] = self._clock()
            self._wake()

    def add_after(self, key: Key, delay: float) -> None:
        """Ask for a pass in `delay` seconds; the earlier of two such wishes holds, and a pass that waits already is earlier than both."""
        if key in self._since:
            return
        due = self._clock() + delay
        if key in self._timers and self._timers[key][0] <= due:
            return
        self._cancel_timer(key)
        self._timers[key] = (due, asyncio.get_running_loop().call_later(delay, self._fire, key))

    def add_failed(self, key: Key, at_least: float = 0.0) -> float:
        """Ask for a pass after a failed one: the delay doubles from 0.5 s up to two minutes, but is `at_least` so long. Returns it.

        A pass that was asked for meanwhile, and failed before the delay was over, lengthens nothing: many changes in one bad second
        must not bring two minutes of silence.
        """
        now = self._clock()
        failures, due = self._failures.get(key, (0, now))
        if now >= due:
            due = now + min(BACKOFF_BASE_SECONDS * 2.0**failures, BACKOFF_CAP_SECONDS)
            self._failures[key] = (failures + 1, due)
        delay = max(at_least, due - now)
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """Drop a key's backoff and delayed pass: it succeeded, or what it stands for is gone."""
        self._failures.pop(key, None)
        self._cancel_timer(key)

    async def get(self) -> Key:
        """The next key; the caller must mark it with `done`."""
        async with self._ready:
            while not self._waiting:
                await self._ready.wait()
            key = self._waiting.popleft()
            del self._since[key]
            self._running.add(key)
            self._cancel_timer(key)  # what was asked for is about to be done
            return key

    def done(self, key: Key) -> None:
        """The pass for the key has ended, in whatever way."""
        self.last_progress = self._clock()
        self._running.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def work(self, handle: Callable[[Key], Awaitable[float | None]]) -> None:
        """Handle keys for ever. `handle` returns the delay until the next pass in seconds, or None for "when something changes".

        An exception is just another way to ask for backoff; it may bear the least delay, in seconds, as `retry_after`.
        """
        while True:
            key = await self.get()
            try:
                delay = await handle(key)
            except Exception as error:
                delay = self.add_failed(key, getattr(error, "retry_after", 0.0))
                logger.exception("The pass for %s failed; next try in %.1f s", key, delay)
            else:
                self._failures.pop(key, None)
                if delay is not None:
                    self.add_after(key, delay)
            finally:
                self.done(key)

    def is_stuck(self, patience: float) -> bool:
        """Whether keys wait but no pass has ended for `patience` seconds."""
        return self.oldest_wait() > patience and self._clock() - self.last_progress > patience

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        if timer := self._timers.pop(key, None):
            timer[1].cancel()

    def _wake(self) -> None:
        task = asyncio.get_running_loop().create_task(self._notify())
        self._wakeups.add(task)
        task.add_done_callback(self._wakeups.discard)

    async def _notify(self) -> None:
        async with self._ready:
            self._ready.notify()
