"""Faults of pods and volumes under load: every accepted job is done, once, and the pipeline is Ready again."""

import json
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Pipeline
from tests.waiting import eventually

JOBS, N, RESULT = 60, 27, "196418"
# Makes a worker's child the kernel's first choice, then uses up the container's memory.
OUT_OF_MEMORY = """
import pathlib
for entry in pathlib.Path("/proc").glob("[0-9]*"):
    if (entry / "comm").read_text() == "fibworker.child\\n":
        (entry / "oom_score_adj").write_text("1000")
hoard = []
while True:
    hoard.append(bytearray(8 << 20))
"""


def all_done_once(pipeline: Pipeline, paths: list[str]) -> None:
    """Every job has its one right result."""
    for path in paths:
        job = pipeline.result(path, seconds=180)
        assert (job["state"], job["result"]) == ("done", RESULT), job


def kill(*pods: str) -> Callable[[Pipeline], None]:
    """Delete pods without any grace."""
    return lambda pipeline: pipeline.kubectl("delete", "pod", *pods, "--grace-period=0", "--force", "--wait=false") and None


def wipe_the_broker(pipeline: Pipeline) -> None:
    """Delete the broker's volume, and the pod that holds it."""
    pipeline.kubectl("delete", "pvc", "data-demo-rabbitmq-0", "--wait=false")
    kill("demo-rabbitmq-0")(pipeline)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(kill("demo-rabbitmq-0"), id="broker"),
        pytest.param(kill("demo-postgresql-0"), id="store"),
        pytest.param(kill("demo-rabbitmq-0", "demo-postgresql-0"), id="both"),
        pytest.param(wipe_the_broker, id="broker with its volume"),
    ],
)
def test_row_48_pods_killed_under_load(pipeline: Pipeline, fault: Callable[[Pipeline], None]) -> None:
    pipeline.wait_ready()
    paths = pipeline.submit_batch(JOBS, N)
    fault(pipeline)
    pipeline.wait_ready()
    all_done_once(pipeline, paths)


def test_row_49_a_pod_stuck_on_a_bad_image_is_replaced_once_the_image_is_mended(pipeline: Pipeline) -> None:
    image = pipeline.read("fib", "demo")["spec"]["rabbitmq"]["image"]

    def set_image(name: str) -> None:
        pipeline.kubectl("patch", "fib", "demo", "--type=merge", "-p", json.dumps({"spec": {"rabbitmq": {"image": name}}}))

    set_image("rabbitmq:4.3-no-such-thing")
    eventually(lambda: "rabbitmq:4.3-no-such-thing" in pipeline.condition()["message"], "the bad image to be named", 120, 0.5)
    assert "Check the image's name" in pipeline.condition()["message"]
    path = pipeline.submit(N)
    set_image(image)
    pipeline.wait_ready()
    all_done_once(pipeline, [path])


def test_a_broker_in_alarm_is_named_and_loses_nothing(pipeline: Pipeline) -> None:
    pipeline.wait_ready()
    limit = ("exec", "demo-rabbitmq-0", "-c", "rabbitmq", "--", "rabbitmqctl", "set_disk_free_limit")
    pipeline.kubectl(*limit, "999GB")
    try:
        paths = pipeline.submit_batch(3, N)
        eventually(lambda: pipeline.condition("BrokerReady").get("reason") == "BrokerAlarm", "the alarm to be named", 90, 0.5)
        assert "RabbitMQ takes no messages: low on disk." in pipeline.condition()["message"]
        assert pipeline.condition()["status"] == "False"
    finally:
        pipeline.kubectl(*limit, "200MB")
    all_done_once(pipeline, paths)
    pipeline.wait_ready()


def test_a_volume_that_is_being_deleted_is_named_and_the_store_starts_again_without_it(pipeline: Pipeline) -> None:
    pipeline.wait_ready()

    def claim() -> str:
        return "".join(
            each["metadata"]["uid"] for each in pipeline.read("pvc")["items"] if each["metadata"]["name"] == "data-demo-postgresql-0"
        )

    before = claim()
    pipeline.kubectl("delete", "pvc", "data-demo-postgresql-0", "--wait=false")
    eventually(lambda: pipeline.condition().get("reason") == "VolumeTerminating", "the warning", 60, 0.5)
    assert "PersistentVolumeClaim data-demo-postgresql-0 is being deleted" in pipeline.condition("DatabaseReady")["message"]
    kill("demo-postgresql-0")(pipeline)
    eventually(lambda: claim() not in ("", before), "a new volume", 60, 0.5)
    eventually(lambda: pipeline.http.get("/api/readyz").status_code == 200, "the API to have a schema in it", 120, 0.5)
    pipeline.wait_ready()
    all_done_once(pipeline, [pipeline.submit(N)])


def test_row_51_a_worker_out_of_memory(pipeline: Pipeline) -> None:
    pipeline.wait_ready()
    paths = pipeline.submit_batch(JOBS, N)
    eventually(lambda: pipeline.http.get("/api/stats").json()["running"] > 0, "a job to run")
    pipeline.kubectl.refused("exec", "deployment/demo-worker", "--", "python", "-c", OUT_OF_MEMORY)
    all_done_once(pipeline, paths)


@pytest.mark.parametrize("program", ["demo-worker", "demo-api", "demo-flower"])
def test_no_program_is_the_first_process_which_would_miss_the_signal_to_stop_while_it_starts(pipeline: Pipeline, program: str) -> None:
    pipeline.wait_ready()
    # To see it by stopping pods as they start would be a test of containerd, which may never send the signal (its issue 6080).
    command = pipeline.kubectl("exec", f"deployment/{program}", "--", "cat", "/proc/1/cmdline")
    assert command.startswith("/pause")
