"""The control plane under the operator's benchmarks, with logins by which the audit log tells who asked."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from bench.processes import ROOT, BenchError, Program, wait_until
from lab.audit import Audit
from lab.bare import TOKEN, BareControlPlane
from lab.services import free_port
from lab.settings import Settings

OPERATOR = "system:serviceaccount:fibpipeline-system:fibpipeline-operator"
PEER = "system:serviceaccount:default:bench-peer"
PIPELINES = "/apis/fibpipeline.io/v1/namespaces/{}/fibpipelines"
TICK = os.sysconf("SC_CLK_TCK")
PEER_SETUP = [
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bench-peer", "namespace": "default"}},
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bench-peer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "bench-peer", "namespace": "default"}],
    },
    {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "peerpipelines.bench.io"},
        "spec": {
            "group": "bench.io",
            "scope": "Namespaced",
            "names": {"plural": "peerpipelines", "singular": "peerpipeline", "kind": "PeerPipeline"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    },
]


class Running:
    """An operator under measurement."""

    def __init__(self, program: Program, metrics_port: int = 0) -> None:
        self.program = program
        self._metrics_port = metrics_port

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.program.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024

    def passes(self) -> float:
        """Passes that ended well, by the operator's own metrics; 0 while it does not answer."""
        try:
            lines = httpx.get(f"http://127.0.0.1:{self._metrics_port}/metrics").text.splitlines()
        except httpx.TransportError:
            return 0.0
        return next((float(line.split()[-1]) for line in lines if line.startswith('fibpipeline_reconcile_total{outcome="Done"}')), 0.0)


class Control:
    """A control plane without nodes, the operator's manifests installed, audited."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fib-bench-"))
        self.plane = BareControlPlane()
        self.api = httpx.Client(
            base_url=self.plane.url,
            headers={"Authorization": f"Bearer {TOKEN}"},
            verify=False,  # noqa: S501 - its certificate is its own, on loopback
            timeout=60,
        )

    def __enter__(self) -> Self:
        self.plane.start()
        self.audit = Audit(self.plane.audit_log)
        self.kubectl("apply", "-f", str(ROOT / "deploy/install.yaml"))
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": PEER_SETUP}))
        self.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
        self._loads_port = free_port()
        self._loads = Program(["-m", "bench.cluster.loads", str(self._loads_port)], {}, self.folder / "loads.log")
        wait_until("the API pods' stand-in", lambda: self.polls() == 0)
        self._login(OPERATOR)
        self._login(PEER)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.api.close()
        self._loads.kill()
        self.plane.close()
        if error is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """The lab's kubectl as administrator."""
        command = [str(Settings.from_environment().bin / "kubectl"), "--kubeconfig", str(self.plane.kubeconfig), *arguments]
        # Its discovery cache must not be in the user's home.
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300, check=False, env=environment)
        if done.returncode:
            raise BenchError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def _login(self, user: str) -> None:
        *_, namespace, account = user.split(":")
        token = self.kubectl("create", "token", account, "-n", namespace, "--duration=4h").strip()
        self.plane.write_kubeconfig(self._kubeconfig(user), token)

    def _kubeconfig(self, user: str) -> Path:
        return self.folder / user.rpartition(":")[2]

    def start_operator(self) -> Running:
        """Start the project's operator; returns when it is alive."""
        health, metrics = free_port(), free_port()
        environment = {
            "KUBECONFIG": str(self._kubeconfig(OPERATOR)),
            "PYTHONPATH": str(ROOT / "operator"),
            "FIBPIPELINE_APP_IMAGE": "fibpipeline.invalid/app:0.1.0",
            "FIBPIPELINE_HEALTH_PORT": str(health),
            "FIBPIPELINE_METRICS_PORT": str(metrics),
            "POD_NAME": "operator",  # whoever is killed leaves its Lease to the next one
            "FIBPIPELINE_LOAD_URL": f"http://127.0.0.1:{self._loads_port}/{{namespace}}/{{name}}",
        }
        program = Program(["-m", "fiboperator"], environment, self.folder / "operator.log")
        wait_until(f"the operator to live (log: {program.log})", lambda: _answers(health))
        return Running(program, metrics)

    def start_peer(self, module: str) -> Running:
        """Start a kopf operator of the benchmark's own; returns when it is alive."""
        health = free_port()
        arguments = ["-m", "kopf", "run", "--standalone", "--all-namespaces", "--quiet", f"--liveness=http://127.0.0.1:{health}/healthz"]
        environment = {"KUBECONFIG": str(self._kubeconfig(PEER))}
        program = Program([*arguments, "-m", module], environment, self.folder / f"{module}.log")
        wait_until(f"the peer to live (log: {program.log})", lambda: _answers(health))
        return Running(program)

    def polls(self) -> int:
        """How often the operator's question for the load was answered so far; -1 while the stand-in does not serve."""
        try:
            return int(httpx.get(f"http://127.0.0.1:{self._loads_port}/").json())
        except httpx.TransportError:
            return -1

    def make_namespaces(self, names: Iterable[str]) -> None:
        """Create namespaces, each with the ServiceAccount that Kubernetes gives it."""
        for name in names:
            self.api.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()

    def make_pipeline(self, namespace: str, name: str = "demo") -> None:
        """Create a FibPipeline whose spec has nothing but a host: of two pipelines on one host the younger has no Ingress."""
        spec = {"ingress": {"host": f"{name}.{namespace}.example.com"}}
        body = {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "metadata": {"name": name}, "spec": spec}
        self.api.post(PIPELINES.format(namespace), json=body).raise_for_status()

    def pipelines(self) -> list[dict[str, Any]]:
        """All FibPipelines as they are."""
        return list(self.api.get("/apis/fibpipeline.io/v1/fibpipelines").raise_for_status().json()["items"])

    def pipeline(self, namespace: str, name: str = "demo") -> dict[str, Any]:
        """One FibPipeline as it is."""
        return dict(self.api.get(f"{PIPELINES.format(namespace)}/{name}").raise_for_status().json())

    def wait_observed(self, namespace: str, name: str = "demo") -> None:
        """Return when the operator has written the status of a pipeline's present generation."""
        wait_until(f"{namespace}/{name} to be observed", lambda: observed(self.pipeline(namespace, name)), 120, 0.02)

    def wait_quiet(self, user: str, seconds: float = 3.0, patience: float = 300.0) -> None:
        """Return when `user` has sent nothing for so many seconds."""
        end = time.monotonic() + patience
        mark = self.audit.mark()
        while time.monotonic() < end:
            time.sleep(seconds)
            if not self.audit.since(mark, user):
                return
            mark = self.audit.mark()
        raise BenchError(f"{user} was not quiet within {patience:.0f} s")


def observed(pipeline: dict[str, Any]) -> bool:
    """Has its status been written for its present generation?"""
    return bool(pipeline.get("status", {}).get("observedGeneration") == pipeline["metadata"]["generation"])


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
