"""The queue: the Celery application and the broker's objects, as API pods, workers and Flower all know them."""

import os
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from fibapp import codec
from fibapp.settings import Settings

TASK = "fib_job"
DELIVERY_LIMIT = 20
"""How often RabbitMQ delivers one message before it goes to the dead-letter queue: the last resort behind the store's own count."""
DEAD_QUEUE_MESSAGES = 10_000
DEFAULT_NAME = "fib"


@dataclass(frozen=True)
class Topology:
    """The broker's objects under a name: that of the pipeline where others are on the same virtual host, so that none takes another's."""

    name: str = DEFAULT_NAME

    @property
    def exchange(self) -> Exchange:
        """Where jobs and dead letters go in."""
        return Exchange(self.name, type="topic", durable=True)

    @property
    def queue(self) -> Queue:
        """Where jobs wait."""
        return Queue(
            self.name,
            self.exchange,
            routing_key=self.name,
            queue_arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": self.name,
                "x-dead-letter-routing-key": f"{self.name}.dead",
            },
        )

    @property
    def dead_queue(self) -> Queue:
        """Where messages end that nobody can work on."""
        return Queue(
            f"{self.name}.dead",
            self.exchange,
            routing_key=f"{self.name}.dead",
            queue_arguments={"x-queue-type": "quorum", "x-max-length": DEAD_QUEUE_MESSAGES},
        )

    @property
    def events(self) -> Exchange:
        """Where workers tell Flower what they do; Celery's own name where the virtual host is the pipeline's own."""
        return Exchange("celeryev" if self.name == DEFAULT_NAME else f"{self.name}.events", type="topic", durable=True)

    @property
    def control(self) -> str:
        """What the exchanges for Flower's questions to workers are named by."""
        return "celery" if self.name == DEFAULT_NAME else f"{self.name}.control"


def create_celery(settings: Settings) -> Celery:
    """The Celery application; nothing is connected yet."""
    # Flower reads FLOWER_* by itself, Celery would read CELERY_*; nothing but our settings may decide.
    os.environ.pop("CELERY_BROKER_URL", None)
    codec.register()
    app = Celery("fib", set_as_current=True)
    app.conf.update(configuration(settings))
    return app


def configuration(settings: Settings) -> dict[str, Any]:
    """Every Celery setting that is not its default, with the reason."""
    topology = Topology(settings.queue)
    return {
        "broker_url": settings.broker_url.get_secret_value(),
        "broker_heartbeat": 20,  # a half-open connection is noticed
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": 3,
        "broker_transport_options": {"read_timeout": 10, "write_timeout": 10},
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "task_queues": [topology.queue],
        "task_default_queue": topology.name,
        "task_default_exchange": topology.name,
        "task_default_exchange_type": "topic",
        "task_default_routing_key": topology.name,
        "task_create_missing_queues": False,  # a typing error must not make a classic queue
        "control_exchange": topology.control,
        "event_exchange": topology.events.name,
        "control_queue_exclusive": True,  # RabbitMQ 4.3 refuses transient queues that are not
        "event_queue_exclusive": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,  # for a pool of processes; here each process is a worker, and the supervisor notes its death
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # the result is stored all the same; a duplicate is absorbed
        "worker_enable_prefetch_count_reduction": False,
        "task_ignore_result": True,  # results live in PostgreSQL; Flower shows the one in the event
        "task_store_errors_even_if_ignored": False,
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "task_track_started": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "enable_utc": True,
        "timezone": "UTC",
    }
