"""Two pipelines on one virtual host of one broker, each with its own database."""

from collections.abc import Callable

from tests.services.pipeline import Pipeline
from tests.waiting import eventually


def neighbours(pipelines: Callable[..., Pipeline], *queues: str) -> list[Pipeline]:
    """Pipelines on the virtual host of the first."""
    first = pipelines(FIB_QUEUE=queues[0])
    return [first, *(pipelines(FIB_QUEUE=queue, FIB_BROKER_URL=first.broker_url) for queue in queues[1:])]


def test_each_does_its_own_jobs_at_once_and_takes_none_of_the_other(pipelines: Callable[..., Pipeline]) -> None:
    both = neighbours(pipelines, "fib.team-a.demo.1a2b3c4d", "fib.team-b.demo.5e6f7a8b")
    for pipeline in both:
        pipeline.up()
    jobs = [pipeline.submit_many([10] * 50) for pipeline in both]
    for pipeline, ids in zip(both, jobs, strict=True):
        pipeline.until_all_done(ids)
        assert {row["publishes"] for row in pipeline.rows("publishes", ids)} <= {0, 1}, "no message had to be sent again"
    for queue in ("fib.team-a.demo.1a2b3c4d.dead", "fib.team-b.demo.5e6f7a8b.dead"):
        assert both[0].drain_messages(queue) == []


def test_a_message_for_a_job_of_another_database_becomes_a_dead_letter_and_is_not_taken_for_done(
    pipelines: Callable[..., Pipeline],
) -> None:
    ours, theirs = neighbours(pipelines, "fib", "fib")
    ours.up()
    theirs.migrate()
    theirs.start_api()
    theirs.start_relay()
    job = theirs.submit(10)
    dead: set[str] = set()

    def is_dead() -> bool:
        dead.update(message["properties"]["message_id"] for message in ours.drain_messages("fib.dead"))
        return job in dead

    eventually(is_dead, "the message in the dead-letter queue")
    worker = ours.processes[-1]
    assert f"job {job}, which this pipeline's database does not know" in worker.log.read_text()
    worker.close()
    theirs.start_worker()
    theirs.until_all_done([job])
