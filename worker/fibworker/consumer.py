"""Celery's consumer, faster to start and faster back after the broker was away."""

import logging
from typing import Any

from celery import bootsteps
from celery.worker import consumer
from celery.worker.state import maybe_shutdown

logger = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 1.0
EVENTS_SECONDS = 0.05
"""How long Flower's events are gathered."""
EVENTS_TOGETHER = 250
"""How many are sent in one message at most, some 100 KiB."""


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer without the one step this pipeline has no use for, and with short waits for the broker.

    On quorum queues Celery declares 28 queues for tasks with a countdown, which takes most of the start. Here nothing is ever
    delayed in the broker: what is due when is written in the database.
    """

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """The steps, delayed delivery left out."""

        default_steps = tuple(step for step in consumer.Consumer.Blueprint.default_steps if "delayed_delivery" not in str(step))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prefetch = 1
        self._flush_is_due = False

    def ensure_connected(self, conn: Any) -> Any:
        """Connect to the broker, for as long as it takes; Celery's own waits of 2, 4, 6 ... seconds would keep a pipeline waiting."""

        def complain(error: Exception, wait: float) -> None:
            logger.warning("no connection to %s: %s; next try in %.1f s", conn.as_uri(), error, wait)

        connected = conn.ensure_connection(
            complain,
            interval_start=FIRST_WAIT_SECONDS,
            interval_step=FIRST_WAIT_SECONDS,
            interval_max=LONGEST_WAIT_SECONDS,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        return connected

    def on_ready(self) -> None:
        """Consuming began, for the first time or on a new connection: with one message at a time, as configured."""
        self.prefetch = 1
        self._flush_is_due = False
        self.pool.consumer = self
        self.event_dispatcher.buffer_limit = EVENTS_TOGETHER
        super().on_ready()

    def on_send_event_buffered(self) -> None:
        """An event waits to be sent. Celery would send it at once, in the way of the job that has just come."""
        if not self._flush_is_due:
            self._flush_is_due = True
            self.hub.call_soon(self.timer.call_after, EVENTS_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        self._flush_events()

    def fetch(self, count: int) -> None:
        """Let the broker send `count` messages ahead.

        On a quorum queue that is fixed when consuming begins, so it begins anew; messages sent already stay ours.
        """
        if self.blueprint.state != bootsteps.RUN or not self.task_consumer or count == self.prefetch:
            return
        self.task_consumer.cancel()
        self.task_consumer.qos(prefetch_count=count)
        self.task_consumer.consume()
        self.prefetch = count
