"""The operator's rights, measured: through a pipeline's whole life it uses each one that it has, and asks for no other.

In both installs: for the whole cluster, and for one namespace.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fiboperator.names import DELETION_COST
from lab.audit import Audit, Request
from lab.bare import BareControlPlane
from lab.settings import Settings
from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.cluster.kubectl import Kubectl
from tests.cluster.loads import LoadServer
from tests.pipelines import ROOT
from tests.waiting import eventually

Object = dict[str, Any]
Right = tuple[str, str, str]
NAME = "fibpipeline-operator"
# Never asked for by a request of its own: the API server asks on behalf of children that block their owner's deletion.
ASKED_BY_ADMISSION: set[Right] = {("update", "fibpipeline.io", "fibpipelines/finalizers")}
DELETABLE = {
    "ConfigMap/demo-postgresql",
    "Deployment/demo-flower",
    "HorizontalPodAutoscaler/demo-worker",
    "Ingress/demo",
    "NetworkPolicy/demo-flower",
    "PodDisruptionBudget/demo-api",
    "Service/demo-api",
    "ServiceAccount/demo-api",
    "StatefulSet/demo-rabbitmq",
}


def of_the_cluster(kubectl: Kubectl, namespace: Namespace, folder: Path) -> tuple[list[Object], str, dict[str, str]]:
    """What `deploy/base` grants, the operator's namespace and its variables."""
    return list(yaml.safe_load_all(kubectl("kustomize", str(ROOT / "deploy/base")))), "fibpipeline-system", {}


def of_one_namespace(kubectl: Kubectl, namespace: Namespace, folder: Path) -> tuple[list[Object], str, dict[str, str]]:
    """The same of `deploy/namespaced`, in the test's own namespace as a user would choose it."""
    base = os.path.relpath(ROOT / "deploy/namespaced", folder.resolve())
    (folder / "kustomization.yaml").write_text(json.dumps({"namespace": namespace.name, "resources": [base]}))
    rendered = kubectl("kustomize", str(folder))
    kubectl("apply", "-f", "-", stdin=rendered)
    return list(yaml.safe_load_all(rendered)), namespace.name, {"FIBPIPELINE_NAMESPACE": namespace.name}


def granted(objects: list[Object], home: str) -> set[Right]:
    """Every right that some binding gives the operator."""
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": home}
    bound = [body["roleRef"] for body in objects if account in body.get("subjects", [])]
    rules = [rule for body in objects for rule in body.get("rules", []) if named(body) in [(ref["kind"], ref["name"]) for ref in bound]]
    return {(verb, group, part) for rule in rules for group in rule["apiGroups"] for part in rule["resources"] for verb in rule["verbs"]}


def named(body: Object) -> tuple[str, str]:
    return body["kind"], body["metadata"]["name"]


@pytest.fixture
def loads(namespace: Namespace) -> Iterator[LoadServer]:
    """The API of this test's pipeline."""
    with LoadServer(namespace.name) as loads:
        yield loads


@pytest.mark.parametrize("storage_class", [True], indirect=True, ids=["expandable"])
@pytest.mark.parametrize("install", [of_the_cluster, of_one_namespace])
def test_every_right_is_used_and_nothing_is_refused(
    install: Callable[[Kubectl, Namespace, Path], tuple[list[Object], str, dict[str, str]]],
    control_plane: BareControlPlane,
    kubectl: Kubectl,
    namespace: Namespace,
    loads: LoadServer,
    storage_class: str,
    tmp_path: Path,
) -> None:
    objects, home, variables = install(kubectl, namespace, tmp_path)
    # One of an earlier test would be taken over and not be created.
    kubectl("delete", "leases", "--all", "--namespace=default")
    login = tmp_path / "login"
    control_plane.write_kubeconfig(login, kubectl("create", "token", NAME, "-n", home).strip())
    audit = Audit(control_plane.audit_log)
    mark = audit.mark()

    def asked() -> list[Request]:
        return audit.since(mark, f"system:serviceaccount:{home}:{NAME}")

    def used() -> set[Right]:
        return {right for request in asked() for right in request.rights}

    def refused() -> list[Request]:
        return [request for request in asked() if not request.allowed]

    operator = OperatorProcess(login, tmp_path / "operator.log")
    operator.variables.update(variables, FIBPIPELINE_LOAD_URL=loads.url)
    operator.start()
    try:
        eventually(lambda: operator.readiness().startswith("working"), "the Lease to be held", seconds=60)
        live_a_life(namespace, loads, storage_class)
        eventually(lambda: ("list", "events.k8s.io", "events") in used(), "Events about what is in trouble to be read")
    except AssertionError as error:
        error.add_note(f"refused: {refused()}")
        raise
    finally:
        operator.kill()
    rights = granted(objects, home) - ASKED_BY_ADMISSION
    assert refused() == []
    assert (sorted(rights - used()), sorted(used() - rights)) == ([], []), "granted and unused; used and not granted"
    if home == namespace.name:
        assert {request.namespace for request in asked() if request.resource} == {home}


def test_children_that_block_their_owners_deletion_need_the_right_to_its_finalizers() -> None:
    """Where the API server checks that, as OpenShift's does; no request of the operator's own shows it."""
    [right] = ASKED_BY_ADMISSION
    with BareControlPlane(Settings.from_environment(), admission=["OwnerReferencesPermissionEnforcement"]) as control_plane:
        kubectl = Kubectl(control_plane.kubeconfig)
        kubectl("apply", "-f", str(ROOT / "deploy/install.yaml"))
        kubectl("wait", "crd/fibpipelines.fibpipeline.io", "--for=condition=Established", "--timeout=30s")
        owner = {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "name": "demo", "uid": "1", "blockOwnerDeletion": True}
        child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child", "namespace": "default", "ownerReferences": [owner]}}
        account = f"--as=system:serviceaccount:fibpipeline-system:{NAME}"
        create = ("create", "--dry-run=server", "--validate=false", "-f", "-", account)
        # The plugin takes up to half a minute to notice a new CRD.
        eventually(lambda: attempt(kubectl, create, child) == "", "the child to be accepted", seconds=60)
        role = json.loads(kubectl("get", "clusterrole", NAME, "-o", "json"))
        role["rules"] = [rule for rule in role["rules"] if right[2] not in rule["resources"]]
        kubectl("replace", "-f", "-", stdin=json.dumps(role))
        eventually(lambda: "cannot set blockOwnerDeletion" in attempt(kubectl, create, child), "the child to be refused")


def attempt(kubectl: Kubectl, command: tuple[str, ...], body: Object) -> str:
    """What the API server says against it; empty when it accepts."""
    try:
        kubectl(*command, stdin=json.dumps(body))
    except AssertionError as error:
        return str(error)
    return ""


def live_a_life(namespace: Namespace, loads: LoadServer, storage_class: str) -> None:
    """Everything that happens to pipelines, once."""
    spec: dict[str, Any] = {
        "postgresql": {"storage": {"storageClassName": storage_class, "size": "20Gi"}},
        "ingress": {"tls": {"secretName": "certificate"}},
    }
    namespace.apply(spec)
    settled(namespace)
    eventually(lambda: namespace.condition("Exposed").get("reason") == "TLSSecretNotFound", "the TLS Secret to be missed")
    lose_and_spoil(namespace)
    settled(namespace)
    work(namespace, loads)
    grow(namespace, spec)
    be_stuck(namespace, spec)
    prune(namespace, spec)


def lose_and_spoil(namespace: Namespace) -> None:
    """A child of each kind is deleted, another of each kind changed by somebody."""
    before = {key: child["metadata"]["uid"] for key, child in namespace.children().items()}
    for key in DELETABLE:
        namespace.kubectl("delete", key, "--cascade=background")

    def back() -> bool:
        children = namespace.children()
        return all(key in children and children[key]["metadata"]["uid"] != before[key] for key in DELETABLE)

    eventually(back, "what was deleted to come back")
    labels = [key for key in namespace.children() if not key.startswith("Secret/")]
    namespace.kubectl("label", "--overwrite", *labels, "app.kubernetes.io/part-of=nothing")
    namespace.apply({**namespace.pipeline()["spec"], "deletionPolicy": "Delete"})  # the credentials get their owner

    def mended() -> bool:
        metadata = [child["metadata"] for child in namespace.children().values()]
        return all(each["labels"]["app.kubernetes.io/part-of"] != "nothing" and "ownerReferences" in each for each in metadata)

    eventually(mended, "what was changed to be mended")


def work(namespace: Namespace, loads: LoadServer) -> None:
    """More workers, and fewer again while one of them is busy."""
    loads.set(300, 300.0)
    eventually(lambda: len(namespace.pods("worker")) == 10, "ten workers")
    busy = namespace.pods("worker")[0]["metadata"]["name"]
    loads.set(300, 300.0, {busy: 200.0})
    loads.set(0, 0.0, {busy: 150.0})

    def marked() -> list[str]:
        pods = [pod["metadata"] for pod in namespace.pods("worker")]
        return [pod["name"] for pod in pods if DELETION_COST in pod.get("annotations", {})]

    eventually(lambda: marked() == [busy], "the busy pod to be marked")
    loads.set()


def grow(namespace: Namespace, spec: dict[str, Any]) -> None:
    """A larger volume."""
    claim = ("get", "pvc", "data-demo-postgresql-0", "--ignore-not-found", "-o")
    eventually(lambda: namespace.kubectl(*claim, "jsonpath={.status.phase}") == "Bound", "the claim to be bound")
    spec["postgresql"]["storage"]["size"] = "30Gi"
    namespace.apply(spec)
    size = "jsonpath={.spec.resources.requests.storage}"
    eventually(lambda: namespace.kubectl(*claim, size) == "30Gi", "the claim to grow")
    settled(namespace)


def be_stuck(namespace: Namespace, spec: dict[str, Any]) -> None:
    """A pod on a bad image, since mended; another that waits for a volume, which only Events explain."""
    pods = eventually(lambda: namespace.pods("postgresql"), "the pod")
    waiting = {"name": "postgresql", "image": "postgres:18", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [{**waiting, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    namespace.play_kubelet(pods[0]["metadata"]["name"], status)
    spec["postgresql"]["image"] = "postgres:18.1"
    namespace.apply(spec)
    images = ("get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}")
    eventually(lambda: "postgres:18.1" in namespace.kubectl(*images), "the stuck pod to be replaced")
    message = "0/5 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    namespace.play_kubelet("demo-rabbitmq-0", {"conditions": [condition]})
    eventually(lambda: namespace.condition("BrokerReady").get("reason") == "VolumePending", "the volume to be missed")


def prune(namespace: Namespace, spec: dict[str, Any]) -> None:
    """Parts are switched off, a store becomes external, and a child that an older release would have made is there still."""
    old = namespace.children()["PodDisruptionBudget/demo-worker"]
    metadata = {**{key: old["metadata"][key] for key in ("labels", "ownerReferences")}, "name": "demo-old"}
    namespace.kubectl("create", "-f", "-", stdin=json.dumps({**old, "metadata": metadata, "status": {}}))
    namespace.kubectl("create", "secret", "generic", "store", "--from-literal=uri=postgresql://u:p@h/d")
    namespace.apply(
        {
            "flower": {"enabled": False},
            "ingress": {"enabled": False},
            "worker": {"autoscaling": {"enabled": False}},
            "postgresql": {**spec["postgresql"], "external": {"secretName": "store"}},
        }
    )
    kinds = ("ConfigMap", "Deployment", "Ingress", "HorizontalPodAutoscaler", "NetworkPolicy", "Service", "ServiceAccount", "StatefulSet")
    names = ("demo", "demo-flower", "demo-postgresql", "demo-old")
    gone = {f"{kind}/{name}" for kind in (*kinds, "PodDisruptionBudget") for name in names} | {"HorizontalPodAutoscaler/demo-worker"}

    def pruned() -> bool:
        namespace.play_ready()
        return not gone & set(namespace.children())

    eventually(pruned, "the parts to be pruned", seconds=60)
