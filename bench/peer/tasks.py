"""The peer's Celery application."""

import os
from datetime import UTC, datetime

from celery import Celery
from sqlalchemy import select
from sqlalchemy.orm import Session

from bench.peer.models import Job, database

app = Celery("peer", broker=os.environ["PEER_BROKER_URL"])
# Without these two a current RabbitMQ refuses Celery's own queues.
app.conf.update(control_queue_exclusive=True, event_queue_exclusive=True, worker_hijack_root_logger=False)


def fibonacci(n: int) -> int:
    """F(n) by its definition."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@app.task  # type: ignore[untyped-decorator]
def fib_job(uuid: str) -> None:
    """Compute the job's number and note begin, end and result."""
    engine = database(os.environ["PEER_DATABASE_URL"])
    with Session(engine) as session:
        job = session.scalars(select(Job).where(Job.uuid == uuid)).one()
        job.started = datetime.now(UTC)
        session.commit()
        result = fibonacci(job.n)
        job.result = str(result)
        job.completed = datetime.now(UTC)
        session.commit()
    engine.dispose()
