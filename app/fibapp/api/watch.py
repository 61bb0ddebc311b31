"""Waiting for a change of the load: many may wait, one looks, and nobody looks while nothing moves."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from fibapp.backoff import Backoff
from fibapp.load import Load
from fibapp.store import StoreAway

logger = logging.getLogger(__name__)

MOVING_SECONDS = 0.5
"""Between two looks while there is something to do."""
IDLE_SECONDS = 15.0
"""Between two looks while there is nothing to do and nobody announced a job."""
COST_FACTOR = 20
"""Looking may take at most a twentieth of the time."""
MAX_WAITING = 32


class Ear(Protocol):
    """Hears that jobs were accepted."""

    def wait(self, seconds: float) -> bool:
        """Wait for an announcement, for at most `seconds`. Raises StoreAway."""

    def close(self) -> None:
        """Stop listening until the next wait."""


class Crowded(Exception):
    """Too many wait already."""


class HungUp(Exception):
    """Who waited is not there any more."""


def _always() -> bool:
    return True


class Watch:
    """Shares the looks among all who wait."""

    def __init__(self, look: Callable[[], Load], ear: Ear) -> None:
        """`look` measures the load now; `ear` is used by a thread of this object alone."""
        self._look = look
        self._ear = ear
        self._changed = threading.Condition()
        self._waiting = 0
        self._announced = True
        self._load: Load | None = None
        self._looked = 0.0
        self._rest = 0.0
        threading.Thread(target=self._listen, name="load", daemon=True).start()

    def wait(self, seen: str | None, seconds: float, is_there: Callable[[], bool] = _always) -> Load:
        """The load as soon as it is news to one who saw the version `seen`, at the latest after `seconds`.

        `is_there` is asked at each look whether somebody still waits. Raises StoreAway, Crowded, HungUp.
        """
        end = time.monotonic() + seconds
        with self._changed:
            if self._waiting >= MAX_WAITING:
                raise Crowded
            self._waiting += 1
            self._announced = True  # while nobody waited nobody listened
            self._changed.notify_all()
            try:
                while True:
                    load = self._present()
                    if not is_there():
                        raise HungUp
                    now = time.monotonic()
                    if load.is_news(seen) or now >= end:
                        return load
                    self._changed.wait(max(0.0, min(end, self._due()) - now))
            finally:
                self._waiting -= 1

    def _present(self) -> Load:
        begun = time.monotonic()
        if self._load is None or begun >= self._due():
            self._announced = False
            self._load = self._look()
            self._looked = time.monotonic()
            self._rest = max(MOVING_SECONDS, COST_FACTOR * (self._looked - begun))
        return self._load

    def _due(self) -> float:
        """When to look again."""
        moving = self._announced or self._load is None or not self._load.idle
        return self._looked + (self._rest if moving else max(self._rest, IDLE_SECONDS))

    def _listen(self) -> None:
        backoff = Backoff(MOVING_SECONDS, IDLE_SECONDS)
        while True:
            with self._changed:
                if not self._waiting and not self._changed.wait_for(lambda: self._waiting, IDLE_SECONDS):
                    self._ear.close()
                    self._changed.wait_for(lambda: self._waiting)
            try:
                heard = self._ear.wait(IDLE_SECONDS)
                backoff.reset()
            except StoreAway as error:
                logger.warning("cannot hear of new jobs: %s", error)
                time.sleep(backoff.next())
                continue
            if heard:
                with self._changed:
                    self._announced = True
                    self._changed.notify_all()
                time.sleep(MOVING_SECONDS)  # a burst is announced many times
