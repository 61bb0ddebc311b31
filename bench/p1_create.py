"""P1 and P2: what it takes to make the children of a FibPipeline, to change one component of it, and to leave it alone."""

import json
import time
from collections.abc import Sequence
from statistics import median

from bench.cluster.control import OPERATOR, PIPELINES, Control
from bench.cluster.fanout import Object, apply_all, children
from bench.processes import wait_until
from bench.table import Row, figure, lower, times
from lab.audit import Request

PIPELINES_A_ROUND = 8
AT_ONCE = 32
"""As many requests as the operator has under way at most."""
EDIT = {"spec": {"worker": {"concurrency": 2}}}
TOUCH = {"metadata": {"annotations": {"bench.io/touched": "yes"}}}


def run(control: Control, rounds: int) -> list[Row]:
    """Operator, fan-out and kubectl take turns; then one pipeline is changed, touched and left alone."""
    ours: list[float] = []
    fan_out: list[float] = []
    kubectl: list[float] = []
    requests: list[int] = []
    objects: list[Object] = []
    operator = control.start_operator()
    for turn in range(rounds):
        created = [_create(control, f"p1-{turn}-{index}") for index in range(PIPELINES_A_ROUND)]
        ours.append(median(seconds for seconds, _ in created))
        requests += [count for _, count in created]
        objects = children(control, f"p1-{turn}-0")
        namespaces = [f"p1-fan-{turn}-{index}" for index in range(PIPELINES_A_ROUND)]
        control.make_namespaces(namespaces)
        fan_out.append(median(apply_all(control, objects, namespaces, AT_ONCE)))
        kubectl.append(_kubectl(control, objects, f"p1-kubectl-{turn}"))
    # A pipeline rests once its load is known.
    wait_until("the load to be known", lambda: "nothing is queued" in control.pipeline("p1-0-0")["status"]["worker"]["reason"], 90, 1.0)
    control.wait_quiet(OPERATOR)
    edit = _requests(control, EDIT)
    touch = _requests(control, TOUCH)
    operator.program.kill()
    against_kubectl, of_fan_out = 1 / lower(ours, kubectl), 1 / lower(ours, fan_out)
    mine, count = f"{figure(median(ours) * 1000)} ms", len(objects)
    sent = median(requests)
    return [
        Row(
            "P1",
            f"one CR -> {count} children and status",
            mine,
            f"kubectl apply --server-side {figure(median(kubectl) * 1000)} ms",
            f"{times(against_kubectl)} its time",
            "<= 0.1x",
            against_kubectl <= 0.1,
        ),
        Row(
            "P1",
            "the same",
            mine,
            f"bare fan-out of the applies {figure(median(fan_out) * 1000)} ms",
            f"{times(of_fan_out)} its time",
            "<= 1.5x",
            of_fan_out <= 1.5,
        ),
        Row("P2", "requests of a creation", figure(median(requests)), f"children {count}", "", "<= children + 2", sent <= count + 2),
        Row("P2", "requests after a worker setting changed", str(len(edit)), "", "", "<= 3", len(edit) <= 3),
        Row("P2", "requests after an event that changes nothing", str(len(touch)), "", "", "0", not touch),
    ]


def _create(control: Control, namespace: str) -> tuple[float, int]:
    """Seconds from the arrival of the POST to the last child and the first status, by the API server's clock, and the requests sent."""
    control.make_namespaces([namespace])
    mark = control.audit.mark()
    control.make_pipeline(namespace)

    def until_status() -> list[Request]:  # the audit log may be a moment behind
        sent = [request for request in control.audit.since(mark, OPERATOR) if request.namespace == namespace]
        first = next((index for index, request in enumerate(sent) if request.resource == "fibpipelines/status"), -1)
        return sent[: first + 1]

    sent = wait_until(f"the first status of {namespace}/demo in the audit log", until_status, interval=0.3)
    begun = next(request.begun for request in control.audit.since(mark) if request.resource == "fibpipelines" and request.verb == "create")
    return max(request.ended for request in sent) - begun, len(sent)


def _kubectl(control: Control, objects: Sequence[Object], namespace: str) -> float:
    control.make_namespaces([namespace])
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    begun = time.perf_counter()
    control.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", stdin=manifests)
    return time.perf_counter() - begun


def _requests(control: Control, change: Object) -> list[Request]:
    """What the operator sends because of a change, until it is quiet."""
    mark = control.audit.mark()
    path = f"{PIPELINES.format('p1-0-0')}/demo"
    control.api.patch(path, json=change, headers={"Content-Type": "application/merge-patch+json"}).raise_for_status()
    control.wait_quiet(OPERATOR)
    return [request for request in control.audit.since(mark, OPERATOR) if request.namespace == "p1-0-0"]
