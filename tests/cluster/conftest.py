"""The operator as a process, logged in as its own ServiceAccount, against a real API server that the tests may break."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from fiboperator.kinds import APPLIED_KINDS
from fiboperator.names import CHILD_SELECTOR, COMPONENT_LABEL
from lab.bare import TOKEN, BareControlPlane
from lab.services import free_port
from lab.settings import REPOSITORY, Settings
from tests.cluster.kubectl import Kubectl
from tests.waiting import eventually


@pytest.fixture(scope="session")
def control_plane() -> Iterator[BareControlPlane]:
    """One bare control plane for the whole tier."""
    with BareControlPlane(Settings.from_environment()) as control_plane:
        yield control_plane


@pytest.fixture(scope="session")
def kubectl(control_plane: BareControlPlane) -> Kubectl:
    """kubectl as administrator, with the operator's manifests installed (its Deployment has no node to run on)."""
    kubectl = Kubectl(control_plane.kubeconfig)
    kubectl("apply", "-f", str(REPOSITORY / "deploy/install.yaml"))
    kubectl("wait", "crd/fibpipelines.fibpipeline.io", "--for=condition=Established", "--timeout=30s")
    return kubectl


class OperatorProcess:
    """The operator, started and killed at will."""

    def __init__(self, kubeconfig: Path, log: Path, program: tuple[str, ...] = ("-m", "fiboperator")) -> None:
        self._kubeconfig = kubeconfig
        self._program = program
        self.log = log
        self.health_port, self.metrics_port = free_port(), free_port()
        self.variables: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and wait until it is alive."""
        environment = {
            **os.environ,
            "KUBECONFIG": str(self._kubeconfig),
            "FIBPIPELINE_APP_IMAGE": "fibpipeline.invalid/app:0.1.0",
            "FIBPIPELINE_HEALTH_PORT": str(self.health_port),
            "FIBPIPELINE_METRICS_PORT": str(self.metrics_port),
            "POD_NAME": "operator",  # whoever is killed leaves its Lease to the next one; two side by side need two names
            "POD_NAMESPACE": "fibpipeline-system",
            **self.variables,
        }
        with self.log.open("ab") as log:
            command = ["setpriv", "--pdeathsig", "KILL", sys.executable, *self._program]
            self._process = subprocess.Popen(command, env=environment, cwd=REPOSITORY / "operator", stdout=log, stderr=log)
        eventually(self.is_alive, f"the operator to be alive (log: {self.log})", seconds=90)
        return self

    def is_alive(self) -> bool:
        """What its liveness probe says."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.health_port}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def readiness(self) -> str:
        """What its readiness probe says."""
        answer = httpx.get(f"http://127.0.0.1:{self.health_port}/readyz", timeout=2)
        return answer.raise_for_status().text.strip()

    def passes(self) -> float:
        """How many passes have ended well since the start."""
        lines = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith('fibpipeline_reconcile_total{outcome="Done"}')), 0.0)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process, "it does not run"
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None


@pytest.fixture(scope="session")
def operator_kubeconfig(control_plane: BareControlPlane, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The login of the operator's ServiceAccount: with it the tests prove the RBAC too."""
    token = kubectl("create", "token", "fibpipeline-operator", "-n", "fibpipeline-system", "--duration=2h").strip()
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    control_plane.write_kubeconfig(path, token)
    return path


@pytest.fixture
def stopped_operator(operator_kubeconfig: Path, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator that has not been started."""
    process = OperatorProcess(operator_kubeconfig, tmp_path / "operator.log")
    yield process
    process.kill()


@pytest.fixture
def operator(stopped_operator: OperatorProcess) -> OperatorProcess:
    """A running operator."""
    return stopped_operator.start()


def with_own_host(name: str, spec: dict[str, Any] | None) -> dict[str, Any]:
    """The spec with a host of the pipeline's own, unless it names one: of two pipelines on one host the younger has no Ingress."""
    spec = spec or {}
    return {**spec, "ingress": {"host": f"{name}.example.com", **spec.get("ingress", {})}}


class Namespace:
    """A namespace with at most one pipeline, `demo`.

    What tests poll is read over HTTP: a kubectl for each look would take most of the time.
    """

    def __init__(self, kubectl: Kubectl, api: httpx.Client, name: str) -> None:
        self.name = name
        self.kubectl = kubectl.within(name)
        self._api = api

    def apply(self, spec: dict[str, Any] | None = None) -> None:
        """Apply the pipeline."""
        spec = with_own_host(self.name, spec)
        body = {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "metadata": {"name": "demo"}, "spec": spec}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def pipeline(self) -> dict[str, Any]:
        """The pipeline as it is."""
        answer = self._api.get(f"/apis/fibpipeline.io/v1/namespaces/{self.name}/fibpipelines/demo")
        return dict(answer.raise_for_status().json())

    def condition(self, kind: str = "Ready") -> dict[str, Any]:
        """One of the pipeline's conditions; empty while there is none."""
        conditions = self.pipeline().get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def children(self) -> dict[str, dict[str, Any]]:
        """Everything the operator applies, by `Kind/name`."""
        found = {}
        for kind, (api_version, plural) in APPLIED_KINDS.items():
            prefix = "apis" if "/" in api_version else "api"
            answer = self._api.get(f"/{prefix}/{api_version}/namespaces/{self.name}/{plural}", params={"labelSelector": CHILD_SELECTOR})
            for item in answer.raise_for_status().json()["items"]:
                found[f"{kind}/{item['metadata']['name']}"] = {"apiVersion": api_version, "kind": kind, **item}
        return found

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The pods of one component."""
        selector = {"labelSelector": f"{COMPONENT_LABEL}={component}"}
        items: list[dict[str, Any]] = (
            self._api.get(f"/api/v1/namespaces/{self.name}/pods", params=selector).raise_for_status().json()["items"]
        )
        return items

    def versions(self) -> dict[str, str]:
        """The resource versions of the pipeline and its children: equal ones mean that nothing was written."""
        objects = {**self.children(), "FibPipeline/demo": self.pipeline()}
        return {key: item["metadata"]["resourceVersion"] for key, item in objects.items()}

    def passwords(self) -> dict[str, Any]:
        """The data of the credentials."""
        return {key: item["data"] for key, item in self.children().items() if key.startswith("Secret/")}

    def play_kubelet(self, pod: str, status: dict[str, Any]) -> None:
        """Give a pod a status; nobody else writes it here."""
        self.kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))

    def play_ready(self) -> None:
        """Let every API and worker pod that exists become ready, as a kubelet would."""
        for pod in [*self.pods("api"), *self.pods("worker")]:
            if "conditions" not in pod.get("status", {}) or not any(
                condition["type"] == "Ready" for condition in pod["status"]["conditions"]
            ):
                conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "Initialized", "PodScheduled")]
                try:
                    self.play_kubelet(pod["metadata"]["name"], {"phase": "Running", "conditions": conditions})
                except AssertionError as error:
                    # The autoscaler or a rollout may have taken it since it was listed.
                    assert "NotFound" in str(error), error

    def converged(self) -> bool:
        """All children are there and the status is of the present generation."""
        pipeline = self.pipeline()
        return (
            pipeline.get("status", {}).get("observedGeneration") == pipeline["metadata"]["generation"]
            and "Deployment/demo-worker" in self.children()
        )


def settled(namespace: Namespace) -> dict[str, str]:
    """Wait until the pipeline has converged and nothing is written any more; returns the resource versions."""
    eventually(namespace.converged, "the pipeline to converge")
    before: list[dict[str, str]] = [{}]

    def unchanged() -> dict[str, str]:
        now = namespace.versions()
        same = now == before[0]
        before[0] = now
        return now if same else {}

    return eventually(unchanged, "the writes to end", interval=0.5)


@pytest.fixture(scope="session")
def api(control_plane: BareControlPlane) -> Iterator[httpx.Client]:
    """The API server as administrator."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=control_plane.url, headers=headers, verify=False, timeout=30) as api:  # noqa: S501 - its certificate is its own
        yield api


@pytest.fixture
def namespace(kubectl: Kubectl, api: httpx.Client) -> Iterator[Namespace]:
    """A namespace of the test's own."""
    name = f"t-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield Namespace(kubectl, api, name)
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def storage_class(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A class with volumes for the pipeline; whether it may expand them is the parameter."""
    name = f"class-{secrets.token_hex(3)}"
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "kubernetes.io/no-provisioner",
        "allowVolumeExpansion": request.param,
    }
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": name,
            "capacity": {"storage": "50Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/nowhere"},
        },
    }
    for each in (body, volume):
        kubectl("create", "-f", "-", stdin=json.dumps(each))
    yield name
    kubectl("delete", "--wait=false", f"storageclass/{name}", f"persistentvolume/{name}")


@pytest.fixture
def masked() -> Callable[[dict[str, dict[str, Any]]], dict[str, Any]]:
    """What is left of objects when all that differs between two equal pipelines is taken away."""
    return _masked


def _masked(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    volatile = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "namespace")
    result = {}
    for key, item in objects.items():
        body = {field: value for field, value in item.items() if field not in ("status", "metadata", "data")}
        metadata = {field: value for field, value in item["metadata"].items() if field not in volatile}
        metadata["ownerReferences"] = [{**owner, "uid": ""} for owner in metadata.get("ownerReferences", [])]
        history = ("fibpipeline.io/applied", "deployment.kubernetes.io/revision")
        annotations = {name: value for name, value in metadata.get("annotations", {}).items() if name not in history}
        body = json.loads(json.dumps(body))
        _drop(body, "clusterIP", "clusterIPs", "fibpipeline.io/config")
        result[key] = {**body, "metadata": {**metadata, "annotations": annotations}, "keys": sorted(item.get("data", {}))}
    # RabbitMQ's configuration is named by its content, which has a password in it.
    return dict(json.loads(re.sub(r"rabbitmq-[0-9a-f]{16}\.conf", "rabbitmq-HASH.conf", json.dumps(result))))


def _drop(value: Any, *keys: str) -> None:
    if isinstance(value, dict):
        for key in keys:
            value.pop(key, None)
        for inner in value.values():
            _drop(inner, *keys)
    elif isinstance(value, list):
        for inner in value:
            _drop(inner, *keys)
