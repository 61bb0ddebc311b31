"""Publishing to RabbitMQ so that nothing is believed without the broker's word: pipelined confirms, mandatory routing, bounded waits."""

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from amqp import Message, spec
from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, NotFound, PreconditionFailed
from celery import Celery
from kombu import Connection

from fibapp.broker import BrokerError, Cause
from fibapp.queue import TASK, Topology
from fibapp.store.outbox import Due

logger = logging.getLogger(__name__)

AWAY = (AMQPError, OSError)
"""What py-amqp raises when the broker is gone, frozen or refuses."""


class PublishError(Exception):
    """The broker does not take what is to be published; `broker_error` is the cause."""

    def __init__(self, message: str, broker_error: BrokerError) -> None:
        super().__init__(message)
        self.broker_error = broker_error


class BrokerAway(PublishError):
    """The broker did not take what was published, or not within the time allowed."""


class TopologyConflict(PublishError):
    """A queue or exchange exists with other arguments than ours; someone has to delete it."""


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    confirmed: list[UUID] = field(default_factory=list)
    refused: list[UUID] = field(default_factory=list)


class Publisher:
    """One connection to the broker for one thread. `connect` first; after any exception the connection is gone."""

    def __init__(self, app: Celery, topology: Topology, *, timeout: float = 5.0) -> None:
        """`timeout`, in seconds, bounds each wait for the broker: a frozen one or a memory alarm gives no answer at all."""
        self._app = app
        self._topology = topology
        self._timeout = timeout
        self._broker: Connection | None = None
        self._connection: Any = None
        self._channel: Any = None
        self._sequence = 0
        self._unconfirmed: dict[int, UUID] = {}
        self._refused: set[UUID] = set()
        self._origin = f"relay@{socket.gethostname()}"
        self._alarm = ""

    @property
    def connected(self) -> bool:
        """Is there a connection, as far as known?"""
        return self._channel is not None

    def connect(self) -> None:
        """Connect and declare everything messages need. Raises BrokerAway or TopologyConflict."""
        self.close()
        options = {"read_timeout": self._timeout, "write_timeout": self._timeout}
        self._broker = Connection(self._app.conf.broker_url, heartbeat=20, connect_timeout=self._timeout, transport_options=options)
        try:
            self._connection = self._broker.connect()
            self._hear_alarms()
            self._open_channel()
        except PreconditionFailed as error:
            self.close()
            words = f"RabbitMQ refuses our declaration: {error.reply_text}. Delete that queue or exchange; its jobs are published again"
            raise TopologyConflict(words, BrokerError(Cause.REFUSED, words)) from error
        except AWAY as error:
            self.close()
            raise BrokerAway(f"cannot connect: {_words(error)}", _broker_error(error)) from error

    def _hear_alarms(self) -> None:
        """Keep the reason of an alarm, which the broker gives to a connection that publishes: py-amqp drops it.

        https://www.rabbitmq.com/docs/connection-blocked, https://github.com/celery/py-amqp/blob/v5.4.2/amqp/connection.py (_on_blocked)
        """
        self._alarm = ""
        self._connection._METHODS = {**self._connection._METHODS, spec.Connection.Blocked: spec.method(spec.Connection.Blocked, "s")}
        self._connection._callbacks[spec.Connection.Blocked] = self._on_alarm

    def _on_alarm(self, reason: str) -> None:
        self._alarm = reason or "of something"

    def _open_channel(self) -> None:
        channel = self._connection.channel()
        for item in (self._topology.exchange, self._topology.events, self._topology.queue, self._topology.dead_queue):
            item(channel).declare()
        channel.confirm_select()
        self._sequence = 0
        self._unconfirmed.clear()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)
        self._channel = channel

    def close(self) -> None:
        """Drop the connection without a farewell: a frozen one would not answer."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.collect()

    def publish(self, jobs: Sequence[Due]) -> Outcome:
        """Publish one message a job and wait for all confirms. Raises BrokerAway: then any of them may or may not be in the queue."""
        self._refused.clear()
        try:
            for job in jobs:
                self._sequence += 1
                self._unconfirmed[self._sequence] = job.id
                self._channel.basic_publish(
                    self._message(job), exchange=self._topology.name, routing_key=self._topology.name, mandatory=True
                )
            self._announce(jobs)
            deadline = time.monotonic() + self._timeout
            while self._unconfirmed:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._connection.drain_events(timeout=left)
        except AWAY as error:
            self.close()
            words = f"alarm, {self._alarm}" if self._alarm else _words(error)
            broker_error = BrokerError(Cause.ALARM, self._alarm) if self._alarm else _broker_error(error)
            raise BrokerAway(f"{len(self._unconfirmed)} of {len(jobs)} messages unconfirmed: {words}", broker_error) from error
        refused = set(self._refused)
        return Outcome([job.id for job in jobs if job.id not in refused], [job.id for job in jobs if job.id in refused])

    def depth(self) -> int:
        """How many messages wait in the queue (those being worked on not counted). Raises BrokerAway, also when the queue is gone."""
        try:
            return int(self._topology.queue(self._channel).queue_declare(passive=True).message_count)
        except NotFound as error:
            self.close()
            raise BrokerAway("the queue is gone", BrokerError(Cause.UNREACHABLE, "the queue is gone")) from error
        except AWAY as error:
            self.close()
            raise BrokerAway(_words(error), _broker_error(error)) from error

    def heartbeat(self) -> None:
        """Keep an idle connection alive and notice a dead one. Raises BrokerAway."""
        try:
            if self._broker is not None:
                self._broker.heartbeat_check()
            with contextlib.suppress(TimeoutError):
                self._connection.drain_events(timeout=0.001)
        except AWAY as error:
            self.close()
            raise BrokerAway(_words(error), _broker_error(error)) from error

    def _message(self, job: Due) -> Message:
        task = self._app.amqp.as_task_v2(str(job.id), TASK, [job.n], {"algorithm": job.algorithm}, origin=self._origin, ignore_result=True)
        return Message(
            json.dumps(task.body),
            content_type="application/json",
            content_encoding="utf-8",
            application_headers=task.headers,
            delivery_mode=2,
            message_id=str(job.id),
            **task.properties,
        )

    def _announce(self, jobs: Sequence[Due]) -> None:
        """Tell Flower, in one message, so that jobs show as pending before a worker has them."""
        now = time.time()
        events = [
            {
                "type": "task-sent",
                "uuid": str(job.id),
                "root_id": str(job.id),
                "parent_id": None,
                "name": TASK,
                "args": f"[{job.n}]",
                "kwargs": f"{{'algorithm': '{job.algorithm}'}}",
                "retries": 0,
                "eta": None,
                "expires": None,
                "queue": self._topology.name,
                "exchange": self._topology.name,
                "routing_key": self._topology.name,
                "hostname": self._origin,
                "pid": os.getpid(),
                "clock": 0,
                "utcoffset": 0,
                "timestamp": now,
            }
            for job in jobs
        ]
        self._sequence += 1  # in confirm mode every message of the channel is counted
        self._channel.basic_publish(
            Message(json.dumps(events), content_type="application/json", content_encoding="utf-8", delivery_mode=1),
            exchange=self._topology.events.name,
            routing_key="task.multi",
        )

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple)

    def _on_nack(self, delivery_tag: int, multiple: bool) -> None:
        self._refused.update(self._settle(delivery_tag, multiple))

    def _settle(self, delivery_tag: int, multiple: bool) -> list[UUID]:
        tags = [tag for tag in self._unconfirmed if tag <= delivery_tag] if multiple else [delivery_tag]
        return [self._unconfirmed.pop(tag) for tag in tags if tag in self._unconfirmed]

    def _on_return(self, error: Exception, _exchange: str, _routing_key: str, message: Any) -> None:
        self._refused.add(UUID(message.properties["message_id"]))


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _broker_error(error: BaseException) -> BrokerError:
    """What to report of an error. Not for a login that is refused, nor for a virtual host that is not there, is it a matter of time."""
    return BrokerError(Cause.REFUSED if isinstance(error, AccessRefused | NotAllowed) else Cause.UNREACHABLE, _words(error))
