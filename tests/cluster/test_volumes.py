"""Storage on a real API server: it grows where the class allows, is refused in words where not, and never takes the pod along."""

import json

import pytest

from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.cluster.kubectl import Kubectl
from tests.waiting import eventually

CLAIM = "data-demo-postgresql-0"


def with_storage(storage_class: str, size: str) -> dict[str, object]:
    return {"postgresql": {"storage": {"size": size, "storageClassName": storage_class}}}


def bound(namespace: Namespace, storage_class: str) -> dict[str, str]:
    """Wait for a pipeline with its pod and its volume; returns the pod's identity."""
    namespace.apply(with_storage(storage_class, "20Gi"))
    settled(namespace)
    get = ("get", "pvc", CLAIM, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
    eventually(lambda: namespace.kubectl(*get) == "Bound", "the claim to be bound")
    return pod(namespace)


def pod(namespace: Namespace) -> dict[str, str]:
    metadata = json.loads(namespace.kubectl("get", "pod", "demo-postgresql-0", "-o", "json"))["metadata"]
    return {
        "uid": metadata["uid"],
        "revision": metadata["labels"]["controller-revision-hash"],
        "deleted": metadata.get("deletionTimestamp", ""),
    }


def wanted_size(namespace: Namespace) -> str:
    """What the StatefulSet would give a new claim; empty while it does not exist."""
    stateful_set = namespace.children().get("StatefulSet/demo-postgresql")
    return stateful_set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] if stateful_set else ""


def claim_size(namespace: Namespace) -> str:
    return namespace.kubectl("get", "pvc", CLAIM, "-o", "jsonpath={.spec.resources.requests.storage}")


@pytest.mark.parametrize("storage_class", [True], indirect=True, ids=["expandable"])
@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_storage_grows_and_the_pod_stays(operator: OperatorProcess, namespace: Namespace, storage_class: str, policy: str) -> None:
    before = bound(namespace, storage_class)
    owner = namespace.children()["StatefulSet/demo-postgresql"]["metadata"]["uid"]
    namespace.apply({**with_storage(storage_class, "30Gi"), "deletionPolicy": policy})
    eventually(lambda: wanted_size(namespace) == "30Gi", "the StatefulSet to be made anew")
    settled(namespace)
    assert claim_size(namespace) == "30Gi"
    assert namespace.children()["StatefulSet/demo-postgresql"]["metadata"]["uid"] != owner
    ready = ("get", "sts", "demo-postgresql", "-o", "jsonpath={.status.updatedReplicas}{.status.replicas}")
    eventually(lambda: namespace.kubectl(*ready) in ("11", "1"), "the new StatefulSet to adopt the pod")
    assert pod(namespace) == before, "same pod, same template"


@pytest.mark.parametrize("storage_class", [False], indirect=True, ids=["not expandable"])
def test_where_the_class_does_not_allow_it_nothing_is_touched_and_the_condition_says_so(
    operator: OperatorProcess, namespace: Namespace, kubectl: Kubectl, storage_class: str
) -> None:
    before = bound(namespace, storage_class)
    owner = namespace.children()["StatefulSet/demo-postgresql"]["metadata"]["uid"]
    namespace.apply({**with_storage(storage_class, "30Gi"), "api": {"replicas": 4}})
    eventually(lambda: namespace.condition().get("reason") == "ExpansionRefused", "the refusal to be told")
    message = namespace.condition()["message"]
    assert f"PersistentVolumeClaim {CLAIM} (class {storage_class}) stays at 20Gi" in message
    assert f"kubectl patch storageclass {storage_class}" in message
    assert namespace.condition("Stalled")["status"] == "True"
    assert namespace.children()["Deployment/demo-api"]["spec"]["replicas"] == 4, "all else is applied"
    assert namespace.children()["StatefulSet/demo-postgresql"]["metadata"]["uid"] == owner
    assert (claim_size(namespace), wanted_size(namespace), pod(namespace)) == ("20Gi", "20Gi", before)
    remedy = message[message.index("kubectl patch storageclass") : -1].split(" ", 2)[2]
    kubectl("patch", *remedy.replace("'", "").split(" "))
    namespace.kubectl("annotate", "fib", "demo", "look=again")
    eventually(lambda: wanted_size(namespace) == "30Gi", "the remedy to help")
    assert pod(namespace) == before
