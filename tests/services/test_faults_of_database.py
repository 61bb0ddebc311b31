"""PostgreSQL dies, is away, freezes or is full. Then nothing is accepted, nothing hangs, and what was accepted is not lost."""

import signal
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import psycopg2
import pytest

from lab.services import PostgreSQL, RabbitMQ
from tests.services.pipeline import Pipeline
from tests.waiting import eventually

CONNECTIONS = 40
SLOW = 35
"""Takes long enough for a fault to find it running."""
PATIENCE_SECONDS = 2.5
"""The longest any answer may take while the database is away: the bound is a second, the machine may be busy."""


@pytest.fixture(scope="module")
def database_of_session() -> Iterator[PostgreSQL]:
    """A database server of the module's own: these tests destroy it, and one needs it small."""
    with PostgreSQL(args=("-c", f"max_connections={CONNECTIONS}")) as database:
        yield database


def test_row_40_database_killed_while_jobs_end(pipeline: Pipeline, database: PostgreSQL) -> None:
    pipeline.up(concurrency=2)
    ids = pipeline.submit_many([22] * 60)
    for finished in (5, 25):
        eventually(lambda least=finished: pipeline.count("state = 'done'", ids) >= least, "some to be done", interval=0.02)  # type: ignore[misc]
        database.kill()
        database.start()
    pipeline.until_all_done(ids)


def test_row_41_database_away(pipeline: Pipeline, database: PostgreSQL) -> None:
    pipeline.up()
    pipeline.until_all_done([pipeline.submit(5)])
    processes = {process.pid for process in pipeline.processes if process.running}
    database.stop()
    refused(pipeline)
    assert pipeline.client.get("/api/readyz").status_code == 503
    assert pipeline.client.get("/api/healthz").status_code == 200
    page = pipeline.client.post("/api/", data={"n": "5", "algorithm": "recursive"})
    assert page.status_code == 503
    assert "nothing was stored. Try again" in page.text
    assert 'value="5"' in page.text
    database.start()
    eventually(lambda: pipeline.client.get("/api/readyz").status_code == 200, "readiness to come back by itself")
    pipeline.until_all_done([pipeline.submit(6)])
    assert {process.pid for process in pipeline.processes if process.running} == processes, "nobody restarted"


def test_database_frozen(pipeline: Pipeline, database: PostgreSQL) -> None:
    pipeline.up()
    pipeline.until_all_done([pipeline.submit(5)])
    database.freeze()
    refused(pipeline)
    assert pipeline.client.get("/api/healthz").status_code == 200
    database.thaw()
    eventually(lambda: pipeline.client.get("/api/readyz").status_code == 200, "readiness to come back by itself")
    pipeline.until_all_done([pipeline.submit(6)])


def test_a_worker_told_to_stop_does_not_wait_for_a_database_that_is_gone(pipeline: Pipeline, database: PostgreSQL) -> None:
    pipeline.up()
    worker = pipeline.processes[-1]
    job = pipeline.submit(SLOW)
    pipeline.until(job, "running")
    database.stop()
    eventually(lambda: "the database is out of reach; next try" in pipeline.log("worker"), "the result to wait for the database", 60)
    worker.send(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert f"job {job}, the store is away" in pipeline.log("worker")
    database.start()
    pipeline.start_worker()
    pipeline.until_all_done([job])
    assert pipeline.job(job)["attempts"] == 2


def test_row_42_no_connection_left(pipeline: Pipeline, database: PostgreSQL) -> None:
    pipeline.up(workers=0)
    ids = pipeline.submit_many([9] * 10)
    eventually(lambda: pipeline.count("publishes > 0", ids) == 10, "all jobs to be published")
    [api] = [process for process in pipeline.processes if process.log.name.endswith("api.log")]
    api.close()
    with pipeline.connection() as connection, connection.cursor() as cursor:
        here = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'fib-api'"
        eventually(lambda: cursor.execute(here) or cursor.fetchone()[0], "the server to see that the API is gone")
    hoard = []
    with pytest.raises(psycopg2.OperationalError):
        while True:
            hoard.append(psycopg2.connect(database.url, connect_timeout=5))
    worker = pipeline.start_worker()
    pipeline.start_api()
    refused(pipeline)
    eventually(lambda: "no connection left" in pipeline.log("worker"), "the worker to try in vain")
    for connection in hoard:
        connection.close()
    pipeline.until_all_done(ids)
    assert worker.running


def test_connections_stay_within_processes_plus_one(pipeline: Pipeline) -> None:
    pipeline.up(workers=0)
    pipeline.start_worker(concurrency=3)
    most: Counter[str] = Counter()
    with pipeline.connection() as connection, connection.cursor() as cursor:

        def count() -> Counter[str]:
            cursor.execute("SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = %s GROUP BY 1", (pipeline.name,))
            for name, held in cursor.fetchall():
                most[name] = max(most[name], held)
            return most

        # Long ones, so that the supervisor has leases to renew, and short ones.
        ids = pipeline.submit_many([SLOW] * 3 + [20] * 60)
        eventually(lambda: count() and pipeline.count("state <> 'done'", ids) == 0, "all jobs to be done", 90, 0.01)
    pipeline.check_promise(ids)
    assert (most["fib-worker"], most["fib-supervisor"]) == (3, 1)
    assert most["fib-api"] <= 8
    assert most["fib-relay"] <= 2


def refused(pipeline: Pipeline) -> None:
    """Submitting answers 503, soon, and says when to come back."""
    begun = time.monotonic()
    answer = httpx.post(f"http://127.0.0.1:{pipeline.api_port}/api/jobs", json={"n": 5}, timeout=30)
    assert time.monotonic() - begun < PATIENCE_SECONDS
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"
    assert "nothing was stored" in answer.json()["detail"]
    assert "5432" not in answer.text


@pytest.mark.parametrize(
    "damage",
    [
        ("DROP SCHEMA public CASCADE",),
        ("DROP TABLE jobs, idempotency_keys, scaling, alembic_version",),
        ("DROP TABLE jobs",),
        ("DROP TABLE scaling", "DROP INDEX jobs_measured", "UPDATE alembic_version SET version_num = '0001'"),
        ("DELETE FROM alembic_version",),
    ],
    ids=lambda damage: damage[0],
)
def test_a_schema_that_is_lost_or_older_is_made_again(pipeline: Pipeline, damage: tuple[str, ...]) -> None:
    pipeline.up()
    pipeline.until_all_done([pipeline.submit(5)])
    processes = {process.pid for process in pipeline.processes if process.running}
    with pipeline.connection() as connection, connection.cursor() as cursor:
        for statement in damage:
            cursor.execute(statement)
    assert pipeline.client.get("/api/readyz").status_code == 503
    serves_again(pipeline, processes)


def test_a_database_that_comes_back_empty_gets_its_schema_while_the_broker_is_away(pipeline: Pipeline, broker: RabbitMQ) -> None:
    pipeline.up()
    pipeline.until_all_done([pipeline.submit(5)])
    processes = {process.pid for process in pipeline.processes if process.running}
    broker.freeze()
    with pipeline.connection(pipeline.database.url) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {pipeline.name} WITH (FORCE)")
        assert pipeline.client.get("/api/readyz").status_code == 503
        cursor.execute(f"CREATE DATABASE {pipeline.name}")
    eventually(lambda: pipeline.client.get("/api/readyz").status_code == 200, "jobs to be accepted without the broker")
    assert pipeline.client.get("/api/jobs").json()["jobs"] == []
    broker.thaw()
    serves_again(pipeline, processes)


def serves_again(pipeline: Pipeline, processes: set[int]) -> None:
    """The pipeline is ready by itself, by the same processes, and computes."""
    eventually(lambda: pipeline.client.get("/api/readyz").status_code == 200, "readiness to come back by itself")
    pipeline.until_all_done([pipeline.submit(6)])
    assert {process.pid for process in pipeline.processes if process.running} == processes, "nobody restarted"
