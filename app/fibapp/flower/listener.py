"""Hears Celery's events, and is back at it a second after the broker is."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, Queue
from typing import Any

from celery import Celery
from celery.events import EventReceiver
from flower.events import Events
from kombu import Connection

RECONNECT_SECONDS = 1.0
IN_HAND = 20_000
"""How many events may wait in this process. More stay in the broker, which drops them after five seconds: a dashboard that is too slow
for a burst shows less of it, and its memory does not grow."""
AT_ONCE = 100
"""How many of them are taken in before requests get their turn."""

logger = logging.getLogger(__name__)


class Listener(Events):  # type: ignore[misc]
    """Flower's thread for events, with a steady short wait for the broker where Flower's grows, and with heartbeats."""

    def __init__(self, app: Celery, observe: Callable[[Mapping[str, Any]], None], **options: Any) -> None:
        super().__init__(app, **options)
        self.since: float | None = None
        """Since when events are heard, in seconds since 1970; None while the broker is away."""
        self._observe = observe
        self._complained = False
        self._waiting: Queue[dict[str, Any]] = Queue(IN_HAND)
        self._taking = False

    def run(self) -> None:
        """Listen for ever."""
        while True:
            try:
                with self.capp.connection(heartbeat=self.capp.conf.broker_heartbeat) as connection:
                    connection.ensure_connection(
                        self._complain, interval_start=RECONNECT_SECONDS, interval_step=0, interval_max=RECONNECT_SECONDS
                    )
                    Receiver(connection, handlers={"*": self.on_event}, app=self.capp, on_ready=self._ready).capture()
            except Exception as error:
                self._complain(error)
            time.sleep(RECONNECT_SECONDS)

    def on_event(self, event: dict[str, Any]) -> None:
        """An event came; what is known of it belongs to the event loop. Waits while too many are in hand."""
        self._waiting.put(event)
        if not self._taking:
            self._take_soon()

    def _take_soon(self) -> None:
        self._taking = True
        self.io_loop.add_callback(self._take)

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                event = self._waiting.get_nowait()
            except Empty:
                break
            try:
                self._observe(event)
                self.state.event(event)
            except Exception:
                logger.exception("an event that cannot be understood")
        # First the note, then the look: one that comes in between is seen by this or by its bringer.
        self._taking = False
        if not self._waiting.empty():
            self._take_soon()

    def _ready(self) -> None:
        self.since = time.time()
        self._complained = False
        logger.info("listening for events")

    def _complain(self, error: Exception, _wait: float = RECONNECT_SECONDS) -> None:
        # Once an outage: a second later it would only say the same again.
        if not self._complained:
            logger.warning("no events: %s; trying again every %.0f s", error, RECONNECT_SECONDS)
        self.since, self._complained = None, True


class Receiver(EventReceiver):  # type: ignore[misc]
    """Celery's receiver on the one connection it is given, which it keeps alive also while events come without a pause."""

    def __init__(self, connection: Connection, *, on_ready: Callable[[], None], **options: Any) -> None:
        super().__init__(connection, **options)
        self._on_ready = on_ready

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        """The connection there is, not a second one."""
        yield self.connection

    def on_iteration(self) -> None:
        """Before each wait for an event. Raises when the broker has not been heard for two heartbeats."""
        self.connection.heartbeat_check()

    def on_consume_ready(self, *arguments: Any, **options: Any) -> None:
        """The queue for events is there."""
        super().on_consume_ready(*arguments, **options)
        self._on_ready()
