"""The sentence that says why there are as many workers as there are."""

from typing import Any

import pytest

from fiboperator.autoscale import Load, Reading
from fiboperator.explain import explain
from fiboperator.spec import parse
from tests.pipelines import fibpipeline

Object = dict[str, Any]
Live = dict[tuple[str, str], Object]

QUOTA = "exceeded quota: small, requested: cpu=500m, used: cpu=2, limited: cpu=2"
NO_METRICS = "the HPA was unable to compute the replica count: no metrics returned from resource metrics API"


def load(queued: int = 0, seconds: float = 0) -> Reading:
    return Reading(Load(version="1", queued=queued, running=0, seconds=seconds, running_seconds=0, busy={}))


def children(
    workers: int = 3, ready: int | None = None, cpu: int | None = 20, failure: Object | None = None, message: str = NO_METRICS
) -> dict[tuple[str, str], Object]:
    """Workers and their autoscaler, which sees a CPU use of `cpu` percent; None: it gets no metrics."""
    scaling: Object = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
    metrics: list[Object] | None = [
        {"type": "ContainerResource", "containerResource": {"name": "cpu", "current": {"averageUtilization": cpu}}}
    ]
    if cpu is None:
        scaling = {"type": "ScalingActive", "status": "False", "reason": "FailedGetContainerResourceMetric", "message": message}
        metrics = None
    return {
        ("Deployment", "demo-worker"): {
            "kind": "Deployment",
            "metadata": {"name": "demo-worker"},
            "spec": {"replicas": workers},
            "status": {"readyReplicas": workers if ready is None else ready, "conditions": [failure] if failure else []},
        },
        ("HorizontalPodAutoscaler", "demo-worker"): {
            "spec": {"metrics": [{"type": "ContainerResource", "containerResource": {"target": {"averageUtilization": 70}}}]},
            "status": {"currentMetrics": metrics, "conditions": [{"type": "AbleToScale", "status": "True"}, scaling]},
        },
    }


def unschedulable() -> Live:
    found = children(6, ready=5)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/5 nodes: 5 Insufficient cpu."}
    labels = {"app.kubernetes.io/component": "worker"}
    found["Pod", "demo-worker-y"] = {
        "metadata": {"name": "demo-worker-y", "labels": labels},
        "spec": {"nodeName": ""},
        "status": {"conditions": [condition]},
    }
    return found


OFF = {"worker": {"autoscaling": {"enabled": False}}}
TABLE: list[tuple[str, Object, Reading, Live, bool, str, str]] = [
    ("silence", {}, load(), children(), True, "ScalingActive", "3 of 3-10 workers: nothing is queued; CPU under 70 %."),
    (
        "work",
        {},
        load(140, 143),
        children(6, cpu=82),
        True,
        "ScalingActive",
        "6 of 3-10 workers: 140 s of queued and running work, 30 s wanted; CPU 80 % of 70 %.",
    ),
    (
        "a little work",
        {},
        load(140, 3),
        children(),
        True,
        "ScalingActive",
        "3 of 3-10 workers: under 10 s of queued and running work, 30 s wanted; CPU under 70 %.",
    ),
    (
        "at the maximum",
        {},
        load(900, 1234),
        children(10, cpu=99),
        True,
        "TooFewReplicas",
        "10 of 3-10 workers: 1,200 s of queued and running work, 30 s wanted; CPU 100 % of 70 %; "
        "more would be needed than spec.worker.autoscaling.maxReplicas allows.",
    ),
    (
        "the API is gone",
        {},
        Reading(away="no API pod answers"),
        children(),
        True,
        "LoadOutOfReach",
        "3 of 3-10 workers: what is queued is out of reach (no API pod answers), so CPU alone decides; CPU under 70 %.",
    ),
    (
        "no metrics-server",
        {},
        load(),
        children(cpu=None),
        False,
        "FailedGetContainerResourceMetric",
        f"3 of 3-10 workers: nothing is queued; {NO_METRICS}. Is metrics-server running? Until there are figures no worker is removed.",
    ),
    (
        "workers so new that there are no figures, and too few of them",
        {},
        load(900, 900),
        children(cpu=None, message="did not receive metrics for targeted pods (pods might be unready)"),
        False,
        "FailedGetContainerResourceMetric",
        "3 of 3-10 workers: 900 s of queued and running work, 30 s wanted; did not receive metrics for targeted pods (pods might be "
        "unready). Until there are figures no worker is removed; more would be needed than spec.worker.autoscaling.maxReplicas allows.",
    ),
    (
        "a quota",
        {},
        load(200, 200),
        children(7, ready=4, failure={"type": "ReplicaFailure", "status": "True", "message": f'pods "x" is forbidden: {QUOTA}'}),
        True,
        "QuotaExceeded",
        f"7 of 3-10 workers: 200 s of queued and running work, 30 s wanted; CPU under 70 %; "
        f"Deployment demo-worker: its pod is refused: {QUOTA}. Raise that ResourceQuota, or ask for less in the spec.",
    ),
    (
        "no room",
        {},
        load(180, 180),
        unschedulable(),
        True,
        "Unschedulable",
        "6 of 3-10 workers: 180 s of queued and running work, 30 s wanted; CPU under 70 %; "
        "Pod demo-worker-y fits on no node: 0/5 nodes: 5 Insufficient cpu. Free or add nodes, or ask for less in the spec.",
    ),
    (
        "paused",
        {"paused": True},
        load(300, 300),
        children(),
        True,
        "Paused",
        "3 of 3-10 workers: 300 s of queued and running work, 30 s wanted; CPU under 70 %; "
        "spec.paused is true: queued work changes nothing.",
    ),
    ("off", OFF, Reading(), children(), False, "ScalingDisabled", "3 workers, the number in spec.worker.replicas: autoscaling is off."),
    ("not there yet", {}, Reading(), {}, False, "WaitingForWorkers", "The workers or their HorizontalPodAutoscaler do not exist yet."),
]


@pytest.mark.parametrize(("case", "spec", "reading", "live", "active", "reason", "sentence"), TABLE, ids=[row[0] for row in TABLE])
def test_the_sentence(case: str, spec: Object, reading: Reading, live: Live, active: bool, reason: str, sentence: str) -> None:
    found = explain(parse(fibpipeline(spec)), reading, live, {})
    assert found.message == sentence
    assert (found.ready, found.reason) == (active, reason)


def test_a_load_and_a_cpu_that_move_a_little_change_no_word() -> None:
    pipeline = parse(fibpipeline())
    first = explain(pipeline, load(140, 141), children(6, cpu=31), {})
    assert explain(pipeline, load(139, 138), children(6, cpu=64), {}) == first
    assert explain(pipeline, load(), children(cpu=2), {}) == explain(pipeline, load(), children(cpu=7), {})
