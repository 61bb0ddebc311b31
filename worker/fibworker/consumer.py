"""Celery's consumer without the one step this pipeline has no use for."""

from celery.worker import consumer


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer, faster to start.

    On quorum queues Celery declares 28 queues for tasks with a countdown, which takes most of the start. Here nothing is ever
    delayed in the broker: what is due when is written in the database.
    """

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """The steps, delayed delivery left out."""

        default_steps = tuple(step for step in consumer.Consumer.Blueprint.default_steps if "delayed_delivery" not in str(step))
