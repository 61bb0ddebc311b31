"""Our own processes die, freeze or are told to leave, at the worst moment. Rows of the fault table by number."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.services.pipeline import Pipeline
from tests.services.sabotage.sitecustomize import POISON
from tests.waiting import eventually

SLOW = 35
"""Takes some seconds here, so that a fault finds it running."""


def test_row_27_api_killed_between_commit_and_publish(pipeline: Pipeline) -> None:
    pipeline.migrate()
    api = pipeline.start_api(sabotage="api_dies_after_commit")
    with pytest.raises(httpx.TransportError):
        pipeline.client.post("/api/jobs", json={"n": 19})
    # gunicorn's master starts another worker process, which would serve on; the whole pod dies here.
    api.close()
    pipeline.start_relay()
    pipeline.start_worker()
    pipeline.start_api()
    [row] = pipeline.rows("id, state")
    assert pipeline.until(str(row["id"]), "done")["result"] == "4181"
    pipeline.check_promise([str(row["id"])])


def test_row_28_relay_killed_between_publish_and_mark(pipeline: Pipeline) -> None:
    pipeline.migrate()
    pipeline.start_api()
    relay = pipeline.start_relay(sabotage="relay_dies_before_mark")
    job = pipeline.submit(18)
    assert relay.wait() == -signal.SIGKILL
    assert pipeline.row(job)["publishes"] == 0, "it died before the mark"
    pipeline.start_relay()
    eventually(lambda: pipeline.row(job)["publishes"] == 1, "the second relay to publish again")
    worker = pipeline.start_worker()
    pipeline.until_all_done([job])
    eventually(lambda: 'ending="duplicate"} 1.0' in metrics(worker.port), "the duplicate message to be absorbed")
    pipeline.check_promise([job])


def test_row_29_worker_killed_mid_task(pipeline: Pipeline) -> None:
    pipeline.up()
    first = pipeline.processes[-1]
    job = pipeline.submit(SLOW)
    before = pipeline.until(job, "running")
    children = first.children()
    first.kill()
    eventually(lambda: not any(alive(pid) for pid in children), "the working process to follow its supervisor")
    pipeline.start_worker()
    after = pipeline.until(job, "done", 60)
    assert after["worker"] != before["worker"]
    assert after["attempts"] == 2
    assert pipeline.row(job)["crashes"] == 1
    pipeline.check_promise([job])


def test_row_30_working_process_killed_mid_task(pipeline: Pipeline) -> None:
    pipeline.up()
    supervisor = pipeline.processes[-1]
    job = pipeline.submit(SLOW)
    pipeline.until(job, "running")
    [child] = supervisor.children()
    os.kill(child, signal.SIGKILL)
    pipeline.until(job, "done", 60)
    row = pipeline.row(job)
    assert (row["attempts"], row["crashes"], row["writes"]) == (2, 1, 1)
    assert supervisor.running
    assert "killed by SIGKILL" in pipeline.log("worker")


def test_row_31_a_job_that_always_kills_its_process(pipelines: Any) -> None:
    pipeline: Pipeline = pipelines(FIB_MAX_CRASHES="3")
    pipeline.migrate()
    api = pipeline.start_api(wait=False)
    pipeline.start_relay()
    # Several processes, so that messages of one job race each other.
    workers = [pipeline.start_worker(sabotage="poison", concurrency=2, wait=False) for _ in range(2)]
    for process in (api, *workers):
        pipeline.serves(process)
    poison, healthy = pipeline.submit_many([POISON] * 3), pipeline.submit_many([12] * 10)
    for job in poison:
        failed = pipeline.until(job, "failed", 90)
        assert failed["error"] == "crashed 3 times; the last time: its process was killed by SIGKILL"
        assert failed["attempts"] == 3
    pipeline.until_all_done(healthy)
    dead: set[str] = set()

    def all_dead() -> bool:
        dead.update(message["properties"]["message_id"] for message in pipeline.drain_messages("fib.dead"))
        return dead >= set(poison)

    eventually(all_dead, "each poison message in the dead-letter queue")
    assert dead == set(poison)
    # They can be tried again, once somebody mended the cause.
    for worker in workers:
        worker.close()
    pipeline.start_worker()
    for job in poison:
        pipeline.client.post(f"/api/jobs/{job}/retry")
    pipeline.until_all_done(poison)


def test_row_32_sigterm_then_sigkill_before_the_job_ends(pipeline: Pipeline) -> None:
    pipeline.up()
    first = pipeline.processes[-1]
    job = pipeline.submit(SLOW + 1)
    pipeline.until(job, "running")
    first.send(signal.SIGTERM)
    eventually(lambda: "Warm shutdown" in pipeline.log("worker"), "the warm shutdown to begin")
    assert first.running, "it waits for its job"
    first.kill()
    pipeline.start_worker()
    assert pipeline.until(job, "done", 60)["attempts"] == 2
    pipeline.check_promise([job])


def test_row_33_a_hurried_shutdown_gives_the_job_back_at_once(pipeline: Pipeline) -> None:
    pipeline.up()
    first = pipeline.processes[-1]
    job = pipeline.submit(SLOW)
    pipeline.until(job, "running")
    first.send(signal.SIGTERM)
    eventually(lambda: "Warm shutdown" in pipeline.log("worker"), "the warm shutdown to begin")
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    row = pipeline.row(job)
    assert (row["state"], row["crashes"], row["lease_until"]) == ("queued", 0, None), "no failure of anybody, and free at once"
    pipeline.start_worker()
    pipeline.until_all_done([job])


def test_a_warm_shutdown_finishes_the_job_and_takes_no_other(pipeline: Pipeline) -> None:
    pipeline.up()
    worker = pipeline.processes[-1]
    first = pipeline.submit(SLOW - 2)
    pipeline.until(first, "running")
    second = pipeline.submit(3)
    worker.send(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert (pipeline.job(first)["state"], pipeline.job(second)["state"]) == ("done", "queued")
    pipeline.start_worker()
    pipeline.until_all_done([first, second])
    assert pipeline.row(first)["attempts"] == 1


def test_what_a_stopping_worker_does_not_begin_goes_to_others_at_once(pipelines: Any) -> None:
    # A lease far longer than the test waits: nothing here comes back by its end.
    pipeline: Pipeline = pipelines(FIB_LEASE_SECONDS="300")
    pipeline.up()
    leaving = pipeline.processes[-1]
    # Brief jobs in a row make it fetch many ahead; then a long one holds it.
    brief = pipeline.submit_many([5] * 400)
    long = pipeline.submit(SLOW + 4)
    behind = pipeline.submit_many([6] * 200)
    pipeline.until(long, "running")
    leaving.send(signal.SIGTERM)
    eventually(lambda: "Warm shutdown" in pipeline.log("worker"), "the warm shutdown to begin")
    later = pipeline.submit_many([7] * 50)
    pipeline.start_worker()
    others = [*brief, *behind, *later]
    pipeline.until_all_done(others)
    assert pipeline.job(long)["state"] == "running", "others did all this while it still worked on its own job"
    assert pipeline.count(f"worker = 'worker@pod-{leaving.port}'", [*later, long]) == 1, "it takes no new job"
    assert leaving.wait(120) == 0
    row = pipeline.row(long)
    assert (row["state"], row["attempts"], row["worker"]) == ("done", 1, f"worker@pod-{leaving.port}")


def test_row_43_worker_frozen_past_its_lease(pipeline: Pipeline) -> None:
    pipeline.up()
    frozen = pipeline.processes[-1]
    job = pipeline.submit(SLOW - 1)
    pipeline.until(job, "running")
    frozen.freeze()
    pipeline.start_worker()
    done = pipeline.until(job, "done", 60)
    assert done["attempts"] == 2
    frozen.thaw()
    late = (f"job {job}, lost", f"job {job} was cancelled or taken over")
    eventually(lambda: any(words in pipeline.log("worker") for words in late), "the late worker to notice")
    assert pipeline.job(job) == done, "the late worker changes nothing"
    pipeline.check_promise([job])


def test_row_45_one_key_fifty_requests(standing: Pipeline) -> None:
    def post(_: int) -> httpx.Response:
        return client.post("/api/jobs", json={"n": 11}, headers={"Idempotency-Key": "fifty"})

    with httpx.Client(base_url=f"http://127.0.0.1:{standing.api_port}", timeout=30) as client, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert len([row for row in standing.rows("n") if row["n"] == 11]) == 1


def test_row_47_flower_killed_or_frozen(standing: Pipeline) -> None:
    process, flower = standing.start_flower()
    try:
        process.send(signal.SIGSTOP)
        standing.until_all_done(standing.submit_many([2] * 20))
        process.send(signal.SIGCONT)
        process.kill()
        standing.until_all_done(standing.submit_many([2] * 20))
    finally:
        flower.close()


def metrics(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
