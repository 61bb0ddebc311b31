"""RabbitMQ dies, freezes, runs out of disk, or comes back empty. The API accepts jobs all the while, and none is lost."""

import re
import time
from collections.abc import Callable, Iterator

import pytest

from lab.services import RabbitMQ
from tests.services.pipeline import Pipeline
from tests.waiting import eventually

ACCEPT_SECONDS = 1.0


@pytest.fixture(scope="module")
def broker_of_session() -> Iterator[RabbitMQ]:
    """A broker of the module's own: these tests destroy it, and with it what others have there."""
    with RabbitMQ() as broker:
        yield broker


def test_row_34_broker_killed_with_jobs_queued(pipeline: Pipeline, broker: RabbitMQ) -> None:
    pipeline.up(workers=0)
    ids = pipeline.submit_many([24] * 20)
    eventually(lambda: pipeline.count("publishes > 0", ids) == 20, "all jobs to be published")
    pipeline.start_worker()
    eventually(lambda: pipeline.count("state = 'done'", ids) > 0, "the first to be done")
    broker.kill()
    broker.start()
    pipeline.until_all_done(ids)


def test_a_worker_asks_for_an_absent_broker_every_second(pipeline: Pipeline, broker: RabbitMQ) -> None:
    pipeline.up(workers=0)
    job = pipeline.submit(8)
    broker.kill()
    worker = pipeline.start_worker(wait=False)

    def waits() -> list[float]:
        return [float(wait) for wait in re.findall(r"no connection to amqp://.*next try in ([0-9.]+) s", pipeline.log("worker"))]

    eventually(lambda: len(waits()) >= 5, "the worker to try from its start")
    broker.start()
    pipeline.until_all_done([job])
    tried = len(waits())
    broker.kill()
    eventually(lambda: len(waits()) >= tried + 2, "the worker to try again")
    broker.start()
    pipeline.until_all_done([pipeline.submit(9)])
    assert max(waits()) == 1.0
    assert worker.running


def test_row_35_broker_frozen(pipeline: Pipeline, broker: RabbitMQ) -> None:
    pipeline.up()
    pipeline.until_all_done([pipeline.submit(5)])
    broker.freeze()
    ids = [accepted_in_time(pipeline) for _ in range(5)]
    eventually(lambda: "unconfirmed" in pipeline.log("relay") or "cannot connect" in pipeline.log("relay"), "the relay to notice", 40)
    ids += [accepted_in_time(pipeline) for _ in range(5)]
    broker.thaw()
    pipeline.until_all_done(ids, 90)


def test_row_36_broker_without_disk_space(pipeline: Pipeline, broker: RabbitMQ) -> None:
    pipeline.up()
    pipeline.until_all_done([pipeline.submit(5)])
    healthy, broker.config = broker.config, "disk_free_limit.absolute = 900TB"
    broker.restart()
    try:
        eventually(lambda: pipeline.manage("GET", "nodes")[0].get("disk_free_alarm"), "the alarm")
        ids = [accepted_in_time(pipeline) for _ in range(5)]
        eventually(lambda: "unconfirmed" in pipeline.log("relay"), "the relay to be refused", 40)
        assert pipeline.count("state = 'queued'", ids) == 5
        told = eventually(lambda: pipeline.load()["broker"], "the operator to be told", 40)
        assert told == {"cause": "alarm", "words": "low on disk"}
    finally:
        broker.config = healthy
        broker.restart()
    pipeline.until_all_done(ids, 90)
    eventually(lambda: pipeline.load()["broker"] is None, "the alarm to be over for the operator, too")


def test_a_login_that_the_broker_refuses_is_told_in_its_words(pipelines: Callable[..., Pipeline], broker: RabbitMQ) -> None:
    pipeline = pipelines(FIB_BROKER_URL=f"amqp://nobody:wrong@{broker.url.rpartition('@')[2]}")
    pipeline.up(workers=0)
    accepted_in_time(pipeline)
    told = eventually(lambda: pipeline.load()["broker"], "the operator to be told", 40)
    assert told["cause"] == "refused"
    assert "ACCESS_REFUSED" in told["words"]
    assert "wrong" not in told["words"]


def test_row_37_broker_wiped(pipeline: Pipeline, broker: RabbitMQ) -> None:
    pipeline.up(workers=0)
    ids = pipeline.submit_many([10] * 50)
    eventually(lambda: pipeline.count("publishes > 0", ids) == 50, "all jobs to be published")
    pipeline.start_worker()
    broker.kill()
    broker.wipe()
    broker.start()
    ids += [accepted_in_time(pipeline)]
    # The vhost went with the volume; in a pipeline RabbitMQ makes it anew from its configuration.
    pipeline.make_vhost()
    pipeline.until_all_done(ids, 90)


def test_row_38_queue_deleted_behind_the_producer(pipeline: Pipeline) -> None:
    pipeline.up(workers=0)
    first = pipeline.submit(6)
    eventually(lambda: pipeline.row(first)["publishes"], "the first job to be published")
    pipeline.manage("DELETE", "queues/{vhost}/fib")
    second = pipeline.submit(7)
    eventually(lambda: "had no queue to go to" in pipeline.log("relay"), "the broker's return to be seen")
    eventually(lambda: pipeline.row(second)["publishes"], "the queue to be there again")
    pipeline.start_worker()
    pipeline.until_all_done([first, second])


def test_row_39_queue_exists_with_other_arguments(pipeline: Pipeline) -> None:
    pipeline.manage("PUT", "queues/{vhost}/fib", {"durable": True, "arguments": {"x-queue-type": "classic"}})
    pipeline.up(workers=0)
    job = accepted_in_time(pipeline)
    eventually(lambda: "RabbitMQ refuses our declaration" in pipeline.log("relay"), "a clear error")
    assert "inequivalent arg" in pipeline.log("relay")
    pipeline.manage("DELETE", "queues/{vhost}/fib")
    pipeline.start_worker()
    pipeline.until_all_done([job])


def test_a_long_queue_is_not_published_again_for_nothing(pipeline: Pipeline) -> None:
    pipeline.up(workers=0)
    ids = pipeline.submit_many([1] * 200)
    overdue = "publishes = 1 AND due_at > published_at + interval '3.5 seconds'"
    eventually(lambda: pipeline.count(overdue, ids) == 200, "every job to be looked at again and left alone")
    pipeline.start_worker()
    pipeline.until_all_done(ids)
    assert pipeline.count("publishes > 1", ids) <= 10, "one in flight may be taken for missing, no more at a time"


def accepted_in_time(pipeline: Pipeline) -> str:
    """Submit a job; the answer must not wait for a broker."""
    begun = time.monotonic()
    job = pipeline.submit(10)
    assert time.monotonic() - begun < ACCEPT_SECONDS
    return job
