"""A rollout goes on where there is no room for a pod more than the spec asks for, and what a rollout does to others."""

from dataclasses import replace
from typing import Any

import pytest

from fiboperator.names import Component
from fiboperator.resources import Release
from fiboperator.rollouts import cramped
from tests.unit.fiboperator.test_desired import RELEASE, children, templates
from tests.unit.fiboperator.world import World

Object = dict[str, Any]
REFUSED = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": 'pods "demo-worker-x" is forbidden: exceeded quota: all, requested: requests.cpu=500m',
}
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "has timed out progressing."}
FULL = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available."
MISTAKEN = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."


def rolling(*conditions: Object, replicas: int = 3, updated: int = 0, unavailable: int = 0) -> Object:
    """The workers' Deployment in the middle of a rollout."""
    return {
        "kind": "Deployment",
        "metadata": {"name": "demo-worker", "labels": {"app.kubernetes.io/component": "worker"}},
        "spec": {"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": "50%"}}},
        "status": {"replicas": replicas, "updatedReplicas": updated, "conditions": list(conditions)},
    }


def waiting(message: str) -> Object:
    """A pod that the scheduler finds no node for."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {
        "kind": "Pod",
        "metadata": {"name": "demo-worker-1", "labels": {"app.kubernetes.io/component": "worker"}},
        "spec": {"nodeName": ""},
        "status": {"conditions": [condition]},
    }


def of(*objects: Object) -> frozenset[Component]:
    return cramped({(each["kind"], each["metadata"]["name"]): each for each in objects})


@pytest.mark.parametrize(
    ("objects", "is_cramped"),
    [
        ([rolling()], False),
        ([rolling(REFUSED)], True),
        ([rolling(REFUSED, updated=3)], False),  # only the workers that the autoscaler asks for are refused
        ([rolling(unavailable=1, updated=2)], True),
        ([rolling(unavailable=1, updated=3)], False),
        ([rolling(replicas=4, updated=1), waiting(FULL)], False),  # a node may be on its way
        ([rolling(LATE, replicas=4, updated=1), waiting(FULL)], True),
        ([rolling(LATE, replicas=4, updated=1), waiting(MISTAKEN)], False),
        ([rolling(LATE, replicas=4, updated=1)], False),  # such as a bad image: the old pods are all there is
    ],
    ids=["room", "quota", "quota-after-it", "under-way", "complete", "full", "full-for-long", "selector", "bad-image"],
)
def test_a_rollout_without_room_takes_an_old_pod_away_first(objects: list[Object], is_cramped: bool) -> None:
    assert of(*objects) == (frozenset({Component.WORKER}) if is_cramped else frozenset())


async def test_a_rollout_under_an_exact_quota_goes_on_and_the_next_one_surges_again() -> None:
    world = World()
    await world.reconcile()
    before = world.cluster.objects["Deployment", "demo-worker"]["spec"]["template"]

    def strategy() -> Object:
        found: Object = world.cluster.objects["Deployment", "demo-worker"]["spec"]["strategy"]["rollingUpdate"]
        return found

    assert strategy() == {"maxUnavailable": 0, "maxSurge": "50%"}

    def report(**status: Any) -> None:
        live = world.cluster.objects["Deployment", "demo-worker"]
        live["status"] = status
        live["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
        world.watch()

    report(replicas=3, updatedReplicas=0, conditions=[REFUSED])
    await world.reconcile()
    assert strategy() == {"maxUnavailable": 1, "maxSurge": "50%"}
    assert world.cluster.objects["Deployment", "demo-worker"]["spec"]["template"] == before, "it restarts nothing"
    report(replicas=3, updatedReplicas=1, conditions=[])
    await world.reconcile()
    assert strategy()["maxUnavailable"] == 1, "or the next pod would meet the same refusal"
    report(replicas=3, updatedReplicas=3, conditions=[])
    await world.reconcile()
    assert strategy()["maxUnavailable"] == 0


def test_a_leaving_api_pod_answers_until_everybody_knows_that_it_leaves() -> None:
    pod = children()["Deployment", "demo-api"]["spec"]["template"]["spec"]
    [api] = [container for container in pod["containers"] if container["name"] == "api"]
    pause = api["lifecycle"]["preStop"]["sleep"]["seconds"]
    graceful = 20  # of gunicorn
    assert pause > 0
    assert pause + graceful < pod["terminationGracePeriodSeconds"]


def test_another_release_of_the_operator_restarts_no_pod_but_for_another_app_image() -> None:
    assert templates(children(release=replace(RELEASE, version="0.2.0"))) == templates(children())


def test_another_app_image_restarts_neither_broker_nor_store() -> None:
    before, after = children(), children(release=Release("0.2.0", "fibpipeline/app:0.2.0", RELEASE.namespace))
    for name in ("demo-rabbitmq", "demo-postgresql"):
        assert after["StatefulSet", name]["spec"] == before["StatefulSet", name]["spec"]


def test_the_autoscaler_outwaits_the_cpu_that_starting_workers_use() -> None:
    """While a rollout surges the autoscaler multiplies a ratio with more pods than the replicas, and the new ones are busy starting.

    https://github.com/kubernetes/kubernetes/issues/72775
    """
    behavior = children()["HorizontalPodAutoscaler", "demo-worker"]["spec"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] >= 60
