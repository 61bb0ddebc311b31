"""The pipeline under measurement: what is asked of it and of the cluster, and the switches of the contenders."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from bench.processes import BenchError
from fiboperator.names import DELETION_COST
from lab.services import free_port
from lab.settings import REPOSITORY, Settings

NAMESPACE = "bench-scaling"
HOST = f"{NAMESPACE}.localhost"
FEWEST, MOST = 3, 10
CALM_SECONDS = 30
"""So long fewer workers must have been enough before some leave."""
PATIENCE_SECONDS = 900
SPEC: dict[str, Any] = {
    "rabbitmq": {"resources": {"limits": {"cpu": "2"}}},
    "worker": {
        "resources": {"requests": {"cpu": "66m", "memory": "128Mi"}, "limits": {"cpu": "100m", "memory": "512Mi"}},
        "autoscaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": CALM_SECONDS}}},
    },
    "flower": {"enabled": False},
    "ingress": {"host": HOST},
}
POLICY = "bench-scaling-all-pods-alike"
ALL_PODS_ALIKE: list[dict[str, Any]] = [
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "matchConstraints": {
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"]}]
            },
            "matchConditions": [
                {
                    "name": "marked",
                    "expression": f"has(object.metadata.annotations) && '{DELETION_COST}' in object.metadata.annotations",
                }
            ],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [
                {
                    "patchType": "JSONPatch",
                    "jsonPatch": {
                        "expression": "[JSONPatch{op: 'remove', path: '/metadata/annotations/' + "
                        f"jsonpatch.escapeKey('{DELETION_COST}')}}]"
                    },
                }
            ],
        },
    },
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY},
        "spec": {
            "policyName": POLICY,
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}},
        },
    },
]
"""Makes the API server drop the mark by which busy pods leave last, whoever sets it: the operator is the same with and without."""


class Pipeline:
    """The pipeline, through the Ingress and through kubectl's proxy."""

    def __init__(self, proxy: str) -> None:
        self._cluster = httpx.Client(base_url=proxy, timeout=30)
        self._api = httpx.Client(
            base_url=f"http://127.0.0.1:{Settings.from_environment().ingress_port}", headers={"Host": HOST}, timeout=30
        )

    def apply(self, **autoscaling: Any) -> None:
        """Apply it with these settings of worker.autoscaling, and wait until it is ready and rests with its fewest workers."""
        worker = {**SPEC["worker"], "autoscaling": {**SPEC["worker"]["autoscaling"], **autoscaling}}
        spec = {**SPEC, "worker": worker}
        body = {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "metadata": {"name": "demo"}, "spec": spec}
        kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=json.dumps(body))
        until(lambda: self._ready() and self.is_calm(), "the pipeline to be ready and at rest")

    def _ready(self) -> bool:
        pipeline = self._fib()
        conditions = {each["type"]: each for each in pipeline.get("status", {}).get("conditions", [])}
        ready = conditions.get("Ready", {})
        return bool(ready.get("status") == "True" and ready["observedGeneration"] == pipeline["metadata"]["generation"])

    def rests(self) -> bool:
        """Does it do nothing, with its fewest workers?"""
        stats = self.stats()
        return (self.workers(), stats["queued"], stats["running"]) == (FEWEST, 0, 0)

    def workers(self) -> int:
        """How many workers the Deployment wants."""
        return int(self._get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/demo-worker")["spec"]["replicas"])

    def floor(self) -> int:
        """How many workers the autoscaler keeps at least."""
        return int(self._get(f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers/demo-worker")["spec"]["minReplicas"])

    def scale(self, workers: int) -> None:
        """`kubectl scale fib`: for a contender that decides by itself."""
        self._scale(f"/apis/fibpipeline.io/v1/namespaces/{NAMESPACE}/fibpipelines/demo", workers)

    def set_workers(self, workers: int) -> None:
        """Do what the autoscaler does, behind its back."""
        self._scale(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/demo-worker", workers)

    def _scale(self, path: str, replicas: int) -> None:
        content = {"Content-Type": "application/merge-patch+json"}
        self._cluster.patch(f"{path}/scale", json={"spec": {"replicas": replicas}}, headers=content).raise_for_status()

    def cancel_all(self) -> None:
        """Cancel all that is queued or runs."""
        for state in ("queued", "running"):
            for job in self._api.get("/api/jobs", params={"state": state, "limit": 200}).raise_for_status().json()["jobs"]:
                self._api.delete(f"/api/jobs/{job['id']}")

    def leaving(self) -> set[str]:
        """The worker pods that were told to stop."""
        return {pod["metadata"]["name"] for pod in self._pods() if "deletionTimestamp" in pod["metadata"]}

    def is_calm(self) -> bool:
        """Does it rest, with no worker that still starts or leaves?"""
        ready = [all(state["ready"] for state in pod["status"].get("containerStatuses", [{"ready": False}])) for pod in self._pods()]
        return ready == [True] * FEWEST and self.rests()

    def _pods(self) -> list[dict[str, Any]]:
        address = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io/component%3Dworker"
        return list(self._get(address)["items"])

    def sentence(self) -> str:
        """Why there are as many workers as there are."""
        return str(self._fib()["status"]["worker"]["reason"])

    def stats(self) -> dict[str, Any]:
        """What /api/stats says."""
        return dict(self._api.get("/api/stats").raise_for_status().json())

    def submit(self, jobs: Mapping[int, int]) -> None:
        """Post a batch; `jobs` maps n to how many."""
        body = {"jobs": [{"n": n, "algorithm": "recursive"} for n, count in jobs.items() for _ in range(count)]}
        self._api.post("/api/batches", json=body).raise_for_status()

    def latest(self, jobs: int) -> list[dict[str, Any]]:
        """The jobs that were submitted last, newest first."""
        found: list[dict[str, Any]] = []
        address = "/api/jobs?limit=200"
        while len(found) < jobs:
            page = self._api.get(address).raise_for_status().json()
            found, address = found + page["jobs"], page["next"]
        return found[:jobs]

    def _fib(self) -> dict[str, Any]:
        return self._get(f"/apis/fibpipeline.io/v1/namespaces/{NAMESPACE}/fibpipelines/demo")

    def _get(self, path: str) -> dict[str, Any]:
        return dict(self._cluster.get(path).raise_for_status().json())


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl on the lab; raises BenchError with its words."""
    program = str(Settings.from_environment().bin / "kubectl")
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; while a part is away it does not hold."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if condition():
                return
        except (httpx.HTTPError, KeyError):
            pass
        if time.monotonic() > end:
            raise BenchError(f"waited {PATIENCE_SECONDS} s in vain for {what}")
        time.sleep(0.5)


@contextmanager
def installed() -> Iterator[Pipeline]:
    """The operator of this checkout and a namespace for the pipeline; yields it, not yet applied."""
    kubectl("apply", "-f", str(REPOSITORY / "deploy/install.yaml"))
    kubectl("wait", "crd/fibpipelines.fibpipeline.io", "--for=condition=Established", "--timeout=60s")
    kubectl("-n", "fibpipeline-system", "rollout", "restart", "deployment/fibpipeline-operator")
    kubectl("-n", "fibpipeline-system", "rollout", "status", "deployment/fibpipeline-operator", "--timeout=110s")
    tell_pods_apart()  # a run that was killed may have left the policy behind
    kubectl("create", "namespace", NAMESPACE)
    port = free_port()
    proxy = subprocess.Popen([str(Settings.from_environment().bin / "kubectl"), "proxy", f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        yield Pipeline(f"http://127.0.0.1:{port}")
    finally:
        proxy.terminate()
        proxy.wait()
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@contextmanager
def all_pods_alike() -> Iterator[None]:
    """While this lasts nothing tells busy workers from idle ones."""
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": ALL_PODS_ALIKE}))
    try:
        yield
    finally:
        tell_pods_apart()


def tell_pods_apart() -> None:
    """Let busy workers be told from idle ones again."""
    kubectl("delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", POLICY, "--ignore-not-found")
