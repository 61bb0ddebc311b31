"""Everything as pods on the lab: the operator as installed, one pipeline, reached through the Ingress as a user reaches it."""

import base64
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.settings import REPOSITORY, Settings
from tests.browser import browser, page
from tests.cluster.kubectl import Kubectl
from tests.waiting import eventually

__all__ = ["browser", "page"]

NAMESPACE = f"e2e-{secrets.token_hex(2)}"
HOST = f"{NAMESPACE}.localhost"  # browsers resolve *.localhost to loopback by themselves
READY_SECONDS = 240
# The seed's topology with room to breathe on two cores, and a scale-down that does not wait five minutes.
SPEC: dict[str, Any] = {
    "rabbitmq": {"resources": {"limits": {"cpu": "2"}}},
    "worker": {
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}},
        "autoscaling": {
            "behavior": {
                "scaleDown": {"stabilizationWindowSeconds": 5, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 5}]}
            }
        },
    },
    "ingress": {"host": HOST},
}


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """kubectl on the lab, with the operator installed and running. Never on another cluster: the tests delete what they made."""
    home, kubeconfig = Settings.from_environment().home, Path(os.environ["KUBECONFIG"])
    assert kubeconfig.is_relative_to(home), f"{kubeconfig} is not the lab's (under {home}): run `make test-e2e`"
    kubectl = Kubectl(kubeconfig)
    kubectl("apply", "-f", str(REPOSITORY / "deploy/install.yaml"))
    kubectl("wait", "crd/fibpipelines.fibpipeline.io", "--for=condition=Established", "--timeout=60s")
    # The tag stays when the code changes: a pod that ran before would be of the old code.
    kubectl("-n", "fibpipeline-system", "rollout", "restart", "deployment/fibpipeline-operator")
    kubectl("-n", "fibpipeline-system", "rollout", "status", "deployment/fibpipeline-operator", "--timeout=110s")
    return kubectl


class Pipeline:
    """The pipeline under test."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl.within(NAMESPACE)
        port = Settings.from_environment().ingress_port
        self.host = HOST
        self.url = f"http://{HOST}:{port}"
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": HOST}, timeout=10)

    def apply(self) -> None:
        """Apply it and wait until it is Ready."""
        body = {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "metadata": {"name": "demo"}, "spec": SPEC}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the present generation is Ready."""

        def ready() -> bool:
            pipeline, condition = self.read("fib", "demo"), self.condition()
            return condition["status"] == "True" and condition["observedGeneration"] == pipeline["metadata"]["generation"]

        eventually(ready, "the pipeline to be Ready", READY_SECONDS, 0.5)

    def read(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get ... -o json`."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def condition(self, kind: str = "Ready") -> dict[str, Any]:
        """One of its conditions."""
        conditions = self.read("fib", "demo").get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {"status": "Unknown", "message": ""})

    def workers(self) -> int:
        """How many workers the Deployment wants now."""
        return int(self.read("deployment", "demo-worker")["spec"]["replicas"])

    def flower_login(self) -> tuple[str, str]:
        """User and password of Flower, from the Secret as the README says."""
        data = self.read("secret", "demo-flower")["data"]
        user, _, password = base64.b64decode(data["basic-auth"]).decode().partition(":")
        return user, password

    def submit(self, n: int, algorithm: str = "recursive") -> str:
        """Post a job; returns its path."""
        answer = self.http.post("/api/jobs", json={"n": n, "algorithm": algorithm})
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"]

    def submit_batch(self, jobs: int, n: int) -> list[str]:
        """Post many equal jobs in one request; returns their paths."""
        answer = self.http.post("/api/batches", json={"jobs": [{"n": n, "algorithm": "recursive"}] * jobs})
        assert answer.status_code == 202, answer.text
        return [f"/api/jobs/{job['id']}" for job in answer.json()["jobs"]]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        stats = self.http.get("/api/stats").raise_for_status().json()
        return {state: int(stats[state]) for state in ("queued", "running", "done", "failed", "cancelled")}

    def cancel_all(self) -> None:
        """Cancel what is queued, so that the next test need not wait for it."""
        while queued := self.http.get("/api/jobs", params={"state": "queued", "limit": 200}).raise_for_status().json()["jobs"]:
            for job in queued:
                self.http.delete(f"/api/jobs/{job['id']}")

    def result(self, path: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until the job is finished; returns it."""

        def finished() -> dict[str, Any]:
            answer = self.http.get(path)
            if answer.status_code in (502, 503, 504):  # the store, or the pod that was asked, is just away
                return {}
            job: dict[str, Any] = answer.raise_for_status().json()
            return job if job["state"] in ("done", "failed", "cancelled") else {}

        return eventually(finished, f"{path} to finish", seconds)


@pytest.fixture(scope="session")
def pipeline(kubectl: Kubectl) -> Iterator[Pipeline]:
    """The pipeline, Ready, in a namespace that enforces Pod Security `restricted`."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    pipeline = Pipeline(kubectl)
    pipeline.apply()
    yield pipeline
    # The pipeline first: a namespace that still has pods is looked at again only after half their grace period.
    pipeline.kubectl("delete", "fib", "demo")
    eventually(lambda: not pipeline.read("pods")["items"], "the pods to be gone", 120, 0.5)
    kubectl("delete", "namespace", NAMESPACE, "--timeout=110s")
