"""Many jobs while everything fails in turn, by a drawn but repeatable schedule; in the end nothing is lost and nothing stored twice."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from lab.services import PostgreSQL, RabbitMQ
from tests.services.pipeline import Pipeline
from tests.services.process import Process
from tests.waiting import eventually

SEED = 20260
JOBS = 500
FAULTS = 16
LONG = 28
"""From this n on a fault has the time to find a job running."""
FREEZE_SECONDS = 4.0
"""Longer than the lease of the tests."""


@pytest.fixture
def broker(servers_of_module: tuple[RabbitMQ, PostgreSQL]) -> RabbitMQ:
    """A broker of the test's own: it is destroyed again and again."""
    return servers_of_module[0]


@pytest.fixture
def database(servers_of_module: tuple[RabbitMQ, PostgreSQL]) -> PostgreSQL:
    """A database server of the test's own."""
    return servers_of_module[1]


class Havoc:
    """The faults, each of which leaves the pipeline able to recover."""

    def __init__(self, pipeline: Pipeline, draw: random.Random) -> None:
        self._pipeline = pipeline
        self._draw = draw
        self.api = pipeline.start_api(wait=False)
        self.relay = pipeline.start_relay()
        self.workers = [pipeline.start_worker(concurrency=2, wait=False) for _ in range(2)]
        for process in (self.api, *self.workers):
            pipeline.serves(process)

    def schedule(self) -> list[Callable[[], None]]:
        """Every fault once, some twice, in an order drawn at random."""
        faults: list[Callable[[], None]] = [
            self.kill_worker,
            self.kill_working_process,
            self.freeze_worker,
            self.replace_worker,
            self.kill_api,
            self.kill_relay,
            self.kill_broker,
            self.freeze_broker,
            self.delete_queue,
            self.wipe_broker,
            self.kill_database,
            self.freeze_database,
            self.kill_both,
        ]
        drawn = [*faults, *self._draw.choices(faults, k=FAULTS - len(faults))]
        self._draw.shuffle(drawn)
        return drawn

    def kill_worker(self) -> None:
        self._busy_worker().kill()
        self.workers = [worker for worker in self.workers if worker.running]
        self.workers.append(self._pipeline.start_worker(concurrency=2, wait=False))

    def kill_working_process(self) -> None:
        for child in self._busy_worker().children():
            os.kill(child, signal.SIGKILL)

    def freeze_worker(self) -> None:
        worker = self._busy_worker()
        worker.freeze()
        time.sleep(FREEZE_SECONDS)
        worker.thaw()

    def replace_worker(self) -> None:
        """As a rolling update does."""
        worker = self._busy_worker()
        worker.send(signal.SIGTERM)
        self.workers.remove(worker)
        self.workers.append(self._pipeline.start_worker(concurrency=2, wait=False))

    def kill_api(self) -> None:
        self.api.close()
        self.api = self._pipeline.start_api(wait=False)

    def kill_relay(self) -> None:
        self.relay.kill()
        self.relay = self._pipeline.start_relay()

    def kill_broker(self) -> None:
        self._pipeline.broker.kill()
        self._pipeline.broker.start()

    def freeze_broker(self) -> None:
        self._pipeline.broker.freeze()
        time.sleep(FREEZE_SECONDS)
        self._pipeline.broker.thaw()

    def delete_queue(self) -> None:
        queues = {queue["name"] for queue in self._pipeline.manage("GET", "queues/{vhost}")}
        if "fib" in queues:
            self._pipeline.manage("DELETE", "queues/{vhost}/fib")

    def wipe_broker(self) -> None:
        self._pipeline.broker.kill()
        self._pipeline.broker.wipe()
        self._pipeline.broker.start()
        self._pipeline.make_vhost()

    def kill_database(self) -> None:
        self._pipeline.database.kill()
        self._pipeline.database.start()

    def freeze_database(self) -> None:
        self._pipeline.database.freeze()
        time.sleep(FREEZE_SECONDS)
        self._pipeline.database.thaw()

    def kill_both(self) -> None:
        self._pipeline.database.kill()
        self._pipeline.broker.kill()
        self._pipeline.database.start()
        self._pipeline.broker.start()

    def until_working(self) -> None:
        """Wait until some more jobs are done."""

        def done() -> int:
            return sum(row["state"] == "done" for row in self._pipeline.rows("state"))

        enough = done() + 5
        eventually(lambda: done() >= enough, "the pipeline to work", 60)

    def _busy_worker(self) -> Process:
        """A worker that is computing right now, and not only for a moment."""

        def busy() -> list[Process]:
            rows = [row for row in self._pipeline.rows("worker, state, n") if row["state"] == "running" and row["n"] >= LONG]
            names = {row["worker"].partition("@")[2] for row in rows}
            return [worker for worker in self.workers if worker.running and f"pod-{worker.port}" in names]

        return self._draw.choice(eventually(busy, "a worker to be busy", 60, 0.01))


class Crowd(threading.Thread):
    """Submits jobs for as long as the havoc lasts, and remembers every 202."""

    def __init__(self, pipeline: Pipeline, draw: random.Random) -> None:
        super().__init__(daemon=True)
        self._pipeline = pipeline
        self._draw = draw
        self.accepted: list[str] = []
        self.refused: Counter[int] = Counter()
        self.unanswered = 0
        self.enough = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self._pipeline.api_port}", timeout=30) as client:
            while not (self.enough.is_set() and len(self.accepted) >= JOBS):
                [n] = self._draw.choices([5, 20, 24, 28, 33], [30, 30, 20, 15, 5])
                try:
                    answer = client.post("/api/jobs", json={"n": n})
                except httpx.TransportError:
                    self.unanswered += 1
                else:
                    if answer.status_code == 202:
                        self.accepted.append(answer.json()["id"])
                    else:
                        self.refused[answer.status_code] += 1
                time.sleep(0.04)


@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nothing_stored_twice(pipeline: Pipeline, tell: Callable[[str], None]) -> None:
    draw = random.Random(SEED)
    pipeline.migrate()
    havoc = Havoc(pipeline, draw)
    crowd = Crowd(pipeline, random.Random(SEED + 1))
    crowd.start()
    faults = havoc.schedule()
    for position, strike in enumerate(faults):
        eventually(lambda least=position * 10: len(crowd.accepted) >= least, "the crowd to go on", 60)  # type: ignore[misc]
        # Some faults meet a pipeline at work, some one that has not yet recovered from the last.
        if draw.random() < 0.5:
            havoc.until_working()
        strike()
    crowd.enough.set()
    crowd.join(120)
    assert not crowd.is_alive()
    assert len(crowd.accepted) >= JOBS
    assert set(crowd.refused) <= {503}, "while the database is away, and nothing else"
    # What was stored although the answer got lost has to come to an end as well.
    ids = [str(row["id"]) for row in pipeline.rows("id")]
    assert set(crowd.accepted) <= set(ids), "an accepted job has no row"
    eventually(lambda: pipeline.count("state IN ('queued', 'running')", ids) == 0, "every job to be final", 120)
    pipeline.check_promise(ids)
    [sums, *_] = pipeline.rows(
        """sum(attempts) OVER () AS attempts, sum(crashes) OVER () AS crashes, sum(publishes) OVER () AS publishes,
        max(extract(epoch FROM finished_at - created_at)) OVER ()::float AS longest""",
        crowd.accepted,
    )
    assert sums["crashes"] > 0, "no fault ever met a running job: such a run proves nothing"
    figures = ", ".join(f"{number} {what}" for what, number in pipeline.judge(crowd.accepted).figures().items())
    tell(f"soak with {len(faults)} faults: {figures}")
    unheard = len(ids) - len(crowd.accepted)
    tell(f"  answers 503: {crowd.refused[503]}, requests without answer: {crowd.unanswered}, stored all the same: {unheard}")
    tell(f"  attempts {sums['attempts']}, crashes {sums['crashes']}, messages {sums['publishes']}, longest wait {sums['longest']:.1f} s")
    tell("  " + ", ".join(f"{fault}: {times}" for fault, times in sorted(Counter(strike.__name__ for strike in faults).items())))
