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
"""Between two notifications: the first job of a burst is announced at once, the next ones together."""


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
    """Sends one NOTIFY for all jobs accepted since the last one.

    Not inside the inserting transaction: there a NOTIFY makes all commits of the server queue behind one lock. A lost NOTIFY only
    costs the relay's next look.
    """

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(name="notifier", daemon=True)
        self._outbox = outbox
        self._accepted = threading.Event()

    def accepted(self) -> None:
        """Jobs were committed."""
        self._accepted.set()

    def run(self) -> None:
        """Send until the process ends."""
        while True:
            self._accepted.wait()
            self._accepted.clear()
            try:
                self._outbox.notify()
            except StoreAway as error:
                logger.warning("could not wake the relay: %s", error)
            time.sleep(SPACING_SECONDS)
