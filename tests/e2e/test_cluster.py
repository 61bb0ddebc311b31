"""What kubectl shows, what the network lets through, and what scaling, deletion and a second apply do to real pods."""

import pytest

from tests.e2e.conftest import Pipeline
from tests.waiting import eventually

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


def test_kubectl_tells_the_story(pipeline: Pipeline) -> None:
    pipeline.kubectl("wait", "fib/demo", "--for=condition=Ready", "--timeout=60s")
    header, row = pipeline.kubectl("get", "fibpipelines").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "API", "WORKERS", "URL", "AGE"]
    assert row.split()[:4] == ["demo", "True", "Available", "2/2"]
    assert f"http://{pipeline.host}/api" in row
    claims = {claim["metadata"]["name"]: claim for claim in pipeline.read("pvc")["items"]}
    assert {name: (claim["status"]["phase"], claim["status"]["capacity"]["storage"]) for name, claim in claims.items()} == {
        "data-demo-rabbitmq-0": ("Bound", "10Gi"),
        "data-demo-postgresql-0": ("Bound", "20Gi"),
    }
    eventually(lambda: "<unknown>" not in pipeline.kubectl("get", "hpa"), "a CPU figure of the autoscaler", 90)
    eventually(lambda: pipeline.condition("AutoscalingActive")["status"] == "True", "the autoscaler to be active", 60)


def test_every_pod_runs_without_a_restart_and_the_workers_are_spread(pipeline: Pipeline) -> None:
    pods = pipeline.read("pods")["items"]
    assert len(pods) >= 8
    for pod in pods:
        assert pod["status"]["phase"] == "Running", pod["metadata"]["name"]
        assert [container["restartCount"] for container in pod["status"]["containerStatuses"]] == [0] * len(pod["spec"]["containers"])
    nodes = [pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"]
    assert len(set(nodes)) >= 3


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed"),
    [
        ("worker", "rabbitmq", 5672, True),
        ("worker", "postgresql", 5432, True),
        ("worker", "rabbitmq", 15672, False),
        ("worker", "api", 80, False),
        ("worker", "api-internal", 9000, False),
        ("api", "rabbitmq", 5672, True),
        ("api", "postgresql", 5432, True),
        ("api", "flower", 5555, False),
        ("flower", "rabbitmq", 15672, True),
        ("flower", "postgresql", 5432, False),
    ],
)
def test_the_network_lets_through_what_is_needed_and_nothing_else(
    pipeline: Pipeline, source: str, target: str, port: int, allowed: bool
) -> None:
    command = ["exec", f"deployment/demo-{source}", "-c", source, "--", "python", "-c", CONNECT, f"demo-{target}", str(port)]
    if allowed:
        pipeline.kubectl(*command)
    else:
        assert "timed out" in pipeline.kubectl.refused(*command)


def test_load_scales_the_workers_out_and_silence_brings_them_back(pipeline: Pipeline) -> None:
    eventually(lambda: pipeline.condition("AutoscalingActive")["status"] == "True", "the autoscaler to be active", 90)
    pipeline.submit_batch(150, 34)  # a minute of work also on a fast machine: less is done before anybody could be added
    eventually(lambda: pipeline.workers() > 3, "more workers", 120, 1)
    eventually(lambda: pipeline.http.get("/api/stats").json()["queued"] == 0, "the queue to drain", 180, 1)
    eventually(lambda: pipeline.workers() == 3, "the workers to go again", 180, 1)
    eventually(lambda: pipeline.http.get("/api/stats").json()["running"] == 0, "the last jobs to end", 60, 1)
    assert pipeline.http.get("/api/stats").json()["failed"] == 0, "scaling in lost or broke no job"


def test_deleted_and_applied_again_the_old_results_are_there(pipeline: Pipeline) -> None:
    path = pipeline.submit(25)
    before = pipeline.result(path)
    login = pipeline.flower_login()
    pipeline.kubectl("delete", "fib", "demo", "--timeout=5s")
    eventually(lambda: not pipeline.read("pods")["items"], "the pods to be gone", 120, 0.5)
    assert [claim["metadata"]["name"] for claim in pipeline.read("pvc")["items"]] == ["data-demo-postgresql-0", "data-demo-rabbitmq-0"]
    pipeline.apply()
    eventually(lambda: pipeline.http.get("/api/readyz").status_code == 200, "the API to answer")
    assert pipeline.http.get(path).json() == before
    assert pipeline.flower_login() == login
    assert pipeline.result(pipeline.submit(10))["result"] == "55"
