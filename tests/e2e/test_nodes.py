"""A node is drained, and another one dies: every accepted job is done, the pipeline is Ready again, and says the truth in between."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.conftest import Pipeline
from tests.waiting import eventually

JOBS, N, RESULT = 60, 27, "196418"
NEEDED_BY_EVERYBODY = ("kube-system", "traefik", "fibpipeline-system")


def test_row_53_a_node_is_drained_under_load(pipeline: Pipeline) -> None:
    pipeline.wait_ready()
    node = next(pod["spec"]["nodeName"] for pod in pods(pipeline, "worker"))
    paths = pipeline.submit_batch(JOBS, N)
    try:
        # No budget of ours may hold it up for ever, not even that of the only broker.
        pipeline.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s")
        assert not [pod for pod in pods(pipeline) if pod["spec"].get("nodeName") == node]
    finally:
        pipeline.kubectl("uncordon", node)
    pipeline.wait_ready()
    assert [pipeline.result(path, seconds=180)["result"] for path in paths] == [RESULT] * JOBS


def test_a_lost_node_is_named_and_nothing_is_lost_with_it(pipeline: Pipeline) -> None:
    pipeline.wait_ready()
    node = node_of_its_own(pipeline)
    paths = pipeline.submit_batch(JOBS, N)
    with lost(node):
        eventually(lambda: f"Node {node} " in pipeline.condition()["message"], "the lost node to be named", 90, 0.5)
        assert pipeline.condition()["status"] == "False"
    pipeline.wait_ready()
    assert [pipeline.result(path, seconds=180)["result"] for path in paths] == [RESULT] * JOBS


def test_the_operator_goes_on_elsewhere_when_its_node_is_lost(pipeline: Pipeline) -> None:
    pipeline.wait_ready()
    operator = pipeline.kubectl.within("fibpipeline-system")
    node = operator("get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}")
    move_away(pipeline, node, ("kube-system", "traefik"))
    spec = {"worker": {"autoscaling": {"targetCPUUtilizationPercentage": 71}}}
    with lost(node):
        pipeline.kubectl("patch", "fib", "demo", "--type=merge", "-p", json.dumps({"spec": spec}))

        def observed() -> bool:
            fib = pipeline.read("fib", "demo")
            return bool(fib["status"]["observedGeneration"] == fib["metadata"]["generation"])

        # After some time Kubernetes takes the node for lost, and after the pod's own tolerationSeconds (300 otherwise) the pod with it.
        eventually(observed, "an operator elsewhere to see the change", 150, 1)
    pipeline.wait_ready()


def pods(pipeline: Pipeline, component: str = "") -> list[dict[str, dict[str, str]]]:
    """The pipeline's pods, of one component or of all."""
    selector = f"app.kubernetes.io/component={component}" if component else "app.kubernetes.io/instance=demo"
    return list(pipeline.read("pods", "-l", selector)["items"])


def node_of_its_own(pipeline: Pipeline) -> str:
    """Flower's node, from which all that everybody needs (DNS, Ingress controller, operator) was made to move elsewhere."""
    node: str = pods(pipeline, "flower")[0]["spec"]["nodeName"]
    move_away(pipeline, node, NEEDED_BY_EVERYBODY)
    return node


def move_away(pipeline: Pipeline, node: str, namespaces: tuple[str, ...]) -> None:
    """Let the pods of these namespaces run on other nodes."""
    pipeline.kubectl("cordon", node)
    try:
        for kubectl in map(pipeline.kubectl.within, namespaces):
            kubectl("delete", "pods", f"--field-selector=spec.nodeName={node}", "--timeout=60s")
            kubectl("wait", "deployments", "--all", "--for=condition=Available", "--timeout=100s")
    finally:
        pipeline.kubectl("uncordon", node)


@contextmanager
def lost(node: str) -> Iterator[None]:
    """The lab's node without power."""
    number = node.rpartition("-")[2]
    subprocess.run([sys.executable, "-m", "lab", "node-kill", number], check=True, timeout=60)
    try:
        yield
    finally:
        subprocess.run([sys.executable, "-m", "lab", "node-start", number], check=True, timeout=120)
