"""Waking the relay at once when jobs are accepted: LISTEN on one side, a NOTIFY shared by many requests on the other."""

import contextlib
import logging
import select
import threading
import time
from typing import Any

import psycopg2

from fibapp.store.engine import Database, StoreAway
from fibapp.store.outbox import CHANNEL, Outbox

logger = logging.getLogger(__name__)


SPACING_SECONDS = 0.005
"""Between two notifications: the first job of a burst is announced at once, the others together."""


class Listener:
    """Waits for notifications on a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None

    def wait(self, seconds: float) -> bool:
        """Wait until jobs were accepted (True) or `seconds` passed (False). Raises StoreAway."""
        if self._connection is None:
            self._connection = self._database.listen(CHANNEL)
            return True  # what was accepted before LISTEN made no sound
        try:
            if select.select([self._connection], [], [], seconds)[0]:
                self._connection.poll()
            heard = bool(self._connection.notifies)
            self._connection.notifies.clear()
        except psycopg2.Error as error:
            self.close()
            raise StoreAway("the database closed the connection") from error
        return heard

    def close(self) -> None:
        """Give up the connection; the next wait opens another."""
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None


class Notifier(threading.Thread):
    """Sees to it that jobs are announced: a lone one by the very statement that inserts it, those of a burst by one NOTIFY for all.

    Not each by its own statement: a transaction with a NOTIFY makes the commits of the others queue behind one lock. A lost NOTIFY only
    costs the relay's next look.
    """

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(name="notifier", daemon=True)
        self._outbox = outbox
        self._accepted = threading.Event()
        self._lock = threading.Lock()
        self._announced = -SPACING_SECONDS

    def is_quiet(self) -> bool:
        """True once in a while: then the caller is to announce its jobs by itself."""
        now = time.monotonic()
        with self._lock:
            quiet = now - self._announced >= SPACING_SECONDS
            if quiet:
                self._announced = now
        return quiet

    def accepted(self, *, announced: bool = False) -> None:
        """Jobs were committed, and `announced` by the statement that did it or not."""
        if not announced:
            self._accepted.set()

    def run(self) -> None:
        """Send until the process ends."""
        while True:
            self._accepted.wait()
            while not self.is_quiet():
                time.sleep(SPACING_SECONDS)
            self._accepted.clear()
            try:
                self._outbox.notify()
            except StoreAway as error:
                logger.warning("could not wake the relay: %s", error)
