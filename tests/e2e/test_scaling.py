"""Scaling by the work, with the real autoscaler: workers for a burst at once and in one step, fewer afterwards, nothing interrupted."""

import json
from collections.abc import Iterator

import pytest

from fiboperator.names import DELETION_COST
from tests.e2e.conftest import Pipeline
from tests.waiting import eventually

# Ten seconds of work that shall be done within one, and at the end two jobs that take longer than a pod needs to be told to stop.
JOBS, N, TARGET_SECONDS = 40, 32, 1
LONG_JOBS, LONG_N = 2, 38
# Long before the autoscaler could have seen any CPU figure of the burst.
AT_ONCE_SECONDS = 10


@pytest.fixture
def eager(pipeline: Pipeline) -> Iterator[Pipeline]:
    """The pipeline with a target so short that a small burst wants many workers."""

    def set_target(seconds: int) -> None:
        spec = {"worker": {"autoscaling": {"backlogTargetSeconds": seconds}}}
        pipeline.kubectl("patch", "fib", "demo", "--type=merge", "-p", json.dumps({"spec": spec}))

    before = pipeline.read("fib", "demo")["spec"]["worker"]["autoscaling"]["backlogTargetSeconds"]
    set_target(TARGET_SECONDS)
    yield pipeline
    set_target(before)


def reason(pipeline: Pipeline) -> str:
    return str(pipeline.read("fib", "demo")["status"]["worker"]["reason"])


def floor(pipeline: Pipeline) -> int:
    return int(pipeline.read("hpa", "demo-worker")["spec"]["minReplicas"])


def marked(pipeline: Pipeline) -> set[str]:
    """The worker pods that shall leave last."""
    pods = [pod["metadata"] for pod in pipeline.read("pods", "-l", "app.kubernetes.io/component=worker")["items"]]
    return {pod["name"] for pod in pods if DELETION_COST in pod.get("annotations", {})}


def leaving(pipeline: Pipeline) -> set[str]:
    """The worker pods that were told to stop."""
    pods = [pod["metadata"] for pod in pipeline.read("pods", "-l", "app.kubernetes.io/component=worker")["items"]]
    return {pod["name"] for pod in pods if "deletionTimestamp" in pod}


@pytest.mark.timeout(600)  # the autoscaler takes its time to let workers go
def test_a_burst_gets_its_workers_in_one_step_and_the_idle_ones_leave_first(eager: Pipeline) -> None:
    eager.wait_ready()
    eventually(lambda: "nothing is queued" in reason(eager) and eager.workers() == 3, "silence", 120, 1)
    paths = [*eager.submit_batch(JOBS, N), *eager.submit_batch(LONG_JOBS, LONG_N)]
    seen: list[int] = []

    def raised() -> bool:
        seen.append(eager.workers())
        return seen[-1] > 3

    eventually(raised, "the workers to be asked for", AT_ONCE_SECONDS)
    assert seen[-1] >= 8, "in one step"
    assert floor(eager) >= seen[-1]
    said = f"s of queued and running work, {TARGET_SECONDS} s wanted"
    eventually(lambda: said in reason(eager), "the sentence", AT_ONCE_SECONDS)
    busy = eventually(lambda: len(found := marked(eager)) == LONG_JOBS and found, "the long jobs' pods to be marked", 180, 0.2)
    eager.kubectl("scale", "deployment/demo-worker", "--replicas=3")  # what the autoscaler does, sooner
    gone = eventually(lambda: leaving(eager), "pods to leave", interval=0)
    assert not busy & gone, "idle workers leave first"
    jobs = [eager.result(path, seconds=180) for path in paths]
    assert {job["state"] for job in jobs} == {"done"}
    assert {job["attempts"] for job in jobs} == {1}, "no job was interrupted"
    eventually(lambda: "nothing is queued" in reason(eager), "silence", 60, 0.5)
    assert floor(eager) == 3
    eventually(lambda: eager.workers() == 3, "the autoscaler to let the workers go", 240, 1)
