"""Role `relay`: publishes a message for every job that is due, and again when a message got lost on the way."""

import logging
import signal
import socket
import time
from types import FrameType

from prometheus_client import Counter, Gauge

from fibapp import httpd
from fibapp.backoff import Backoff
from fibapp.bell import Bell
from fibapp.broker import BrokerError, Cause
from fibapp.publisher import BrokerAway, Publisher, PublishError, TopologyConflict
from fibapp.queue import Topology, create_celery
from fibapp.settings import Settings
from fibapp.store import Database, StoreAway
from fibapp.store.broker_errors import BrokerErrorStore
from fibapp.store.outbox import Outbox
from fibapp.store.wakeup import Listener

logger = logging.getLogger(__name__)

BATCH = 500
LOOK_SECONDS = 1.0
"""How long the relay sleeps at most, notified or not."""
KEY_HOURS = 24.0
STUCK_SECONDS = 60.0

PUBLISHED = Counter("fib_relay_published_total", "Messages confirmed by the broker", ["kind"])
REFUSED = Counter("fib_relay_refused_total", "Messages the broker could not route or did not take")
ERRORS = Counter("fib_relay_errors_total", "Passes that failed", ["where"])
CONNECTED = Gauge("fib_relay_broker_connected", "1 while the relay has a connection to the broker")


class Relay:
    """One relay; several may run, they share the work by row locks."""

    def __init__(
        self, outbox: Outbox, publisher: Publisher, listener: Listener, broker_errors: BrokerErrorStore, *, grace_seconds: float
    ) -> None:
        """`grace_seconds`: how long a published job may be neither in the queue nor claimed before its message counts as lost."""
        self._outbox = outbox
        self._broker_errors = broker_errors
        self._last_error: BrokerError | None = None
        self._name = socket.gethostname()
        self._publisher = publisher
        self._listener = listener
        self._grace = grace_seconds
        self._stopping = False
        self._bell = Bell()
        self._progress = time.monotonic()
        self._looked = 0.0
        self._forgot = 0.0

    def stop(self) -> None:
        """End after the current pass. For signal handlers, too."""
        self._stopping = True
        self._bell.ring()

    def stuck(self) -> str | None:
        """What is wrong with the loop itself, if anything; a broker or database that is away is not."""
        idle = time.monotonic() - self._progress
        return f"no pass ended for {idle:.0f} s" if idle > STUCK_SECONDS else None

    def run(self) -> None:
        """Publish until stopped; whatever is away is waited for."""
        backoff = Backoff(0.2, 5.0)
        while not self._stopping:
            self._progress = time.monotonic()
            try:
                more = self.pass_once()
                backoff.reset()
                if not more:
                    self._sleep()
            except (StoreAway, PublishError) as error:
                where = "store" if isinstance(error, StoreAway) else "broker"
                if isinstance(error, PublishError):
                    self.record(error.broker_error)
                ERRORS.labels(where).inc()
                wait = backoff.next()
                logger.log(
                    logging.ERROR if isinstance(error, TopologyConflict) else logging.WARNING,
                    "%s: %s; next try in %.1f s",
                    where,
                    error,
                    wait,
                )
                self._bell.wait(wait)
            CONNECTED.set(self._publisher.connected)
        self._publisher.close()
        self._listener.close()

    def pass_once(self) -> bool:
        """Publish one batch of what is due; True when there may be more."""
        if not self._publisher.connected:
            self._publisher.connect()
            if self._last_error and self._last_error.cause is not Cause.ALARM:  # in an alarm it admits us and takes nothing
                self.record(None)
        # Once in a while only: what these find took seconds to become wrong.
        missing = 0
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._publisher.heartbeat()
            missing = self._look_for_lost()
            self._looked = time.monotonic()
        jobs = self._outbox.reserve(min(missing, BATCH) or BATCH, stale=missing > 0)
        if not jobs:
            return False
        try:
            outcome = self._publisher.publish(jobs)
        except BrokerAway:
            self._outbox.returned([job.id for job in jobs])
            raise
        self._outbox.published(outcome.confirmed)
        if self._last_error and outcome.confirmed:
            self.record(None)
        again = sum(job.publishes > 0 for job in jobs)
        PUBLISHED.labels("again").inc(again)
        PUBLISHED.labels("first").inc(len(jobs) - again)
        if outcome.refused:
            REFUSED.inc(len(outcome.refused))
            self._outbox.returned(outcome.refused)
            self._publisher.close()  # connecting declares the queue again
            gone = BrokerError(Cause.UNREACHABLE, "messages had no queue to go to")
            raise BrokerAway(f"{len(outcome.refused)} messages had no queue to go to; declaring it again", gone)
        return len(jobs) == BATCH or missing > 0

    def record(self, broker_error: BrokerError | None) -> None:
        """Record why the broker takes no messages, for the API to report; None: it takes them again."""
        try:
            if broker_error is None:
                self._broker_errors.clear(self._name)
            else:
                self._broker_errors.record(self._name, broker_error)
        except StoreAway as error:
            logger.warning("cannot note the state of the broker: %s", error)
        else:
            self._last_error = broker_error

    def _look_for_lost(self) -> int:
        """Compare the broker's queue with the rows: how many stale jobs to publish again, the oldest first.

        Without this a long queue would be published again and again for no reason, and a wiped broker noticed only after minutes. The
        queue keeps its order, so what is missing from it is older than what is in it. A message in flight to a worker seems to be
        missing, too: then a job or two get a duplicate, which harms nobody.
        """
        waiting = self._outbox.count_waiting()
        if not waiting:
            return 0
        depth = self._publisher.depth()
        if depth == 0:
            hastened = self._outbox.hasten_missing(self._grace)
            if hastened:
                logger.warning("the queue is empty but %d jobs wait for their message; publishing them again", hastened)
        elif depth < waiting:
            waiting = min(waiting, self._outbox.count_waiting())  # without what was claimed while the broker was asked
        if depth >= waiting:
            while self._outbox.has_stale():
                self._outbox.postpone_stale(BATCH)
            return 0
        return waiting - depth if self._outbox.has_stale() else 0

    def _sleep(self) -> None:
        now = time.monotonic()
        if now - self._forgot > 3600:
            self._outbox.forget_keys(KEY_HOURS)
            self._broker_errors.forget()
            self._forgot = now
        due = self._outbox.next_due()
        # What is overdue and was still not reserved has to wait for the next look, too.
        self._listener.wait(min(due, LOOK_SECONDS) if due is not None and due > 0 else LOOK_SECONDS)


def run(settings: Settings) -> None:
    """Relay until SIGTERM."""
    database = Database(settings.database_url.get_secret_value(), role="relay", connections=2, timeout=5.0)
    outbox = Outbox(
        database,
        hold_seconds=settings.relay_hold_seconds,
        base_seconds=settings.relay_base_seconds,
        cap_seconds=settings.relay_cap_seconds,
    )
    relay = Relay(
        outbox,
        Publisher(create_celery(settings), Topology(settings.queue)),
        Listener(database),
        BrokerErrorStore(database),
        grace_seconds=settings.relay_grace_seconds,
    )
    httpd.serve(settings.listen_host, settings.relay_port, {"/healthz": httpd.health(relay.stuck), "/metrics": httpd.metrics})

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        relay.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    relay.run()
