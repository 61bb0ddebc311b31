"""What is in the way, as a person reads it: a table of live objects."""

from typing import Any

import pytest
import yaml

from fiboperator.blocking import Blockage, blockage, blocked_pod, unexplained

LABELS = {"app.kubernetes.io/component": "postgresql"}


def workload(kind: str = "StatefulSet", **status: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"name": "demo-postgresql", "generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "replicas": 1, **status},
    }


def pod(status: str, node: str = "node-1") -> dict[str, Any]:
    metadata = {"name": "demo-postgresql-0", "labels": LABELS}
    return {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": node}, "status": yaml.safe_load(status)}


def claim(storage_class: str | None = "fast", phase: str = "Pending") -> dict[str, Any]:
    metadata = {"name": "data-demo-postgresql-0", "labels": LABELS}
    spec = {"storageClassName": storage_class} if storage_class else {}
    return {"kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec, "status": {"phase": phase}}


def container(text: str, kind: str = "containerStatuses") -> dict[str, Any]:
    return pod(f"{kind}: [{{name: postgresql, image: 'postgres:1x', {text}}}]")


UNSCHEDULABLE = "conditions: [{{type: PodScheduled, status: 'False', reason: Unschedulable, message: '{}'}}]"
NO_CPU = "0/5 nodes are available: 5 Insufficient cpu. preemption: 0/5 nodes are available: 5 No preemption victims found."
UNBOUND = "0/5 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
NOT_SET_UP = "{phase: Pending, conditions: [{type: PodReadyToStartContainers, status: 'False'}]}"
CRASHED = 'lastState: {terminated: {exitCode: 3, reason: Error, message: "Traceback\\n\\nRuntimeError: no such table\\n"}}'
LOOP = (
    "Pod demo-postgresql-0, container postgresql: CrashLoopBackOff, exit code 3: RuntimeError: no such table. See kubectl logs --previous."
)
PULL = "Pod demo-postgresql-0, container postgresql: ImagePullBackOff postgres:1x. Check the image's name and the cluster's access to it."


@pytest.mark.parametrize(
    ("blocked", "message"),
    [
        (container("state: {waiting: {reason: ImagePullBackOff}}"), PULL),
        (container("state: {waiting: {reason: ErrImagePull}}"), PULL),
        (container("state: {waiting: {reason: CrashLoopBackOff}}, " + CRASHED), LOOP),
        (container("state: {running: {}}, ready: false, started: false, restartCount: 2, " + CRASHED), LOOP),
        (container("state: {terminated: {exitCode: 3}}, restartCount: 2, " + CRASHED), LOOP),
        (container("state: {running: {}}, ready: false, started: true, restartCount: 2, " + CRASHED, "initContainerStatuses"), LOOP),
        (
            container("state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}"),
            "Pod demo-postgresql-0, container postgresql: CrashLoopBackOff, OOMKilled: it needs more memory than its limit. "
            "Raise resources.limits.memory.",
        ),
        (
            container("state: {waiting: {reason: CreateContainerConfigError, message: 'secret \"mine\" not found'}}"),
            'Pod demo-postgresql-0, container postgresql: CreateContainerConfigError: secret "mine" not found. '
            "Create what is missing, or correct the spec.",
        ),
        (
            pod(UNSCHEDULABLE.format(NO_CPU), node=""),
            "Pod demo-postgresql-0 fits on no node: 0/5 nodes are available: 5 Insufficient cpu. "
            "Free or add nodes, or ask for less in the spec.",
        ),
    ],
)
def test_a_pod_names_itself_its_trouble_and_the_remedy(blocked: dict[str, Any], message: str) -> None:
    found = blockage(workload(), [blocked], [], {})
    assert found is not None
    assert found.message == message


@pytest.mark.parametrize(
    "text",
    [
        "state: {running: {}}, ready: true, started: true, restartCount: 9, " + CRASHED,
        "state: {running: {}}, ready: false, started: true, restartCount: 9, " + CRASHED,
        "state: {running: {}}, ready: false, started: false, restartCount: 1, " + CRASHED,
        "state: {waiting: {reason: ContainerCreating}}",
    ],
    ids=["ready", "no longer ready", "after a node's restart", "starting"],
)
def test_what_goes_away_by_itself_is_not_in_the_way(text: str) -> None:
    assert blockage(workload(), [container(text)], [], {}) is None


def test_a_refused_pod_of_a_deployment_shows_the_quota_and_stays_the_same_sentence() -> None:
    def refused(name: str) -> Blockage | None:
        message = f'pods "{name}" is forbidden: exceeded quota: small, requested: requests.cpu=1, used: 2, limited: 2'
        live = workload("Deployment", conditions=[{"type": "ReplicaFailure", "status": "True", "message": message}])
        return blockage(live, [], [], {})

    found = refused("demo-api-abc-x1")
    assert found == refused("demo-api-abc-x2"), "each attempt has another name: it would be news each time"
    assert found == Blockage(
        "QuotaExceeded",
        "Deployment demo-postgresql: its pod is refused: exceeded quota: small, requested: requests.cpu=1, used: 2, limited: 2. "
        "Raise that ResourceQuota, or ask for less in the spec.",
    )


def test_a_statefulset_without_its_pod_is_explained_by_events() -> None:
    live = workload(replicas=0)
    assert unexplained({("StatefulSet", "demo-postgresql"): live}) == [live]
    assert blockage(live, [], [], {}) is None
    told = {
        ("StatefulSet", "demo-postgresql"): 'create Pod demo-postgresql-0 failed: pods "demo-postgresql-0" is forbidden: exceeded quota: a'
    }
    found = blockage(live, [], [], told)
    assert found is not None
    assert found.reason == "QuotaExceeded"
    assert "its pod is refused: exceeded quota: a. Raise that ResourceQuota" in found.message
    del live["status"]["observedGeneration"]
    assert unexplained({("StatefulSet", "demo-postgresql"): live}) == [], "its controller has not even looked at it"


def test_a_pod_that_its_node_cannot_set_up_is_explained_by_events() -> None:
    waiting = pod(NOT_SET_UP)
    assert unexplained({("Pod", "demo-postgresql-0"): waiting}) == [waiting]
    found = blockage(workload(), [waiting], [], {("Pod", "demo-postgresql-0"): 'secret "mine" not found'})
    assert found == Blockage("Degraded", 'Pod demo-postgresql-0 cannot be set up on its node: secret "mine" not found')
    assert blockage(workload(), [waiting], [], {}) is None


def test_a_pending_claim_names_its_class_and_the_reason() -> None:
    waiting, volume = pod(UNSCHEDULABLE.format(UNBOUND), node=""), claim()
    live = {("Pod", "demo-postgresql-0"): waiting, ("PersistentVolumeClaim", "data-demo-postgresql-0"): volume}
    assert unexplained(live) == [volume]
    key = ("PersistentVolumeClaim", "data-demo-postgresql-0")
    found = blockage(workload(), [waiting], [volume], {key: 'storageclass.storage.k8s.io "fast" not found'})
    assert found == Blockage(
        "VolumePending",
        'PersistentVolumeClaim data-demo-postgresql-0 waits for a volume (class fast): storageclass.storage.k8s.io "fast" not found. '
        "See kubectl get storageclass,persistentvolume.",
    )
    found = blockage(workload(), [], [claim(None)], {})
    assert found is not None
    assert "(no class, and the cluster has no default StorageClass). See" in found.message


def test_nothing_is_asked_about_a_pipeline_that_is_well_or_only_starts() -> None:
    running = container("state: {running: {}}, ready: true")
    live = {("StatefulSet", "demo-postgresql"): workload(), ("Pod", "p"): running, ("Pod", "q"): pod("{}", node="")}
    assert unexplained({**live, ("PersistentVolumeClaim", "c"): claim()}) == []


DESERTED = "{{conditions: [{{type: Ready, status: 'False'}}, {{type: ContainersReady, status: '{}'}}{}]}}"
EVICTED = ", {type: DisruptionTarget, status: 'True', reason: DeletionByTaintManager}"


@pytest.mark.parametrize(
    ("containers", "more", "deleted", "lost"),
    [
        ("True", "", False, True),
        ("False", "", False, False),  # a probe fails: its node says so
        ("True", "", True, False),  # it ends, as it was told to
        ("True", EVICTED, True, True),  # Kubernetes gave the node up
    ],
)
def test_a_node_that_does_not_answer_is_named(containers: str, more: str, deleted: bool, lost: bool) -> None:
    deserted = pod(DESERTED.format(containers, more))
    if deleted:
        deserted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    stateful_set = {"kind": "StatefulSet", "metadata": {"name": "demo-postgresql"}, "spec": {}, "status": {}}
    found = blockage(stateful_set, [deserted], [], {})
    assert (found is not None and found.reason == "NodeLost" and "Node node-1 with pod demo-postgresql-0" in found.message) is lost
    assert blocked_pod(deserted, {}) is None, "deleting it would help nobody"


@pytest.mark.parametrize(
    "words",
    [
        "maximum cpu usage per Container is 200m, but limit is 500m",
        "minimum memory usage per Pod is 1Gi, but request is 256Mi",
        "cpu max limit to request ratio per Container is 1, but provided ratio is 2.000000",
        "failed quota: disk: must specify limits.ephemeral-storage for: api,migrate,relay",
    ],
)
def test_a_pod_outside_of_the_namespaces_limits_says_what_to_change(words: str) -> None:
    message = f'pods "demo-api-abc-x1" is forbidden: {words}'
    live = workload("Deployment", conditions=[{"type": "ReplicaFailure", "status": "True", "message": message}])
    found = blockage(live, [], [], {})
    assert found is not None
    assert words in found.message
    assert found.message.endswith("See kubectl get limitrange,resourcequota: change those, or the resources in the spec.")
