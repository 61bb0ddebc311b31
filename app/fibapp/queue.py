"""The queue: the Celery application and the broker's objects, as API pods, workers and Flower all know them."""

import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from fibapp import codec
from fibapp.settings import Settings

TASK = "fib_job"
EXCHANGE = "fib"
QUEUE = "fib"
DEAD_QUEUE = "fib.dead"
DELIVERY_LIMIT = 20
"""How often RabbitMQ delivers one message before it goes to the dead-letter queue: the last resort behind the store's own count."""
DEAD_QUEUE_MESSAGES = 10_000

exchange = Exchange(EXCHANGE, type="topic", durable=True)
queue = Queue(
    QUEUE,
    exchange,
    routing_key=QUEUE,
    queue_arguments={
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": EXCHANGE,
        "x-dead-letter-routing-key": DEAD_QUEUE,
    },
)
dead_queue = Queue(
    DEAD_QUEUE,
    exchange,
    routing_key=DEAD_QUEUE,
    queue_arguments={"x-queue-type": "quorum", "x-max-length": DEAD_QUEUE_MESSAGES},
)
event_exchange = Exchange("celeryev", type="topic", durable=True)


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
        "task_queues": [queue],
        "task_default_queue": QUEUE,
        "task_default_exchange": EXCHANGE,
        "task_default_exchange_type": "topic",
        "task_default_routing_key": QUEUE,
        "task_create_missing_queues": False,  # a typing error must not make a classic queue
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
