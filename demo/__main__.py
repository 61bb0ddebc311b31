"""`python -m demo up|down`: what `make demo` and `make demo-down` run."""

import argparse
import os
import sys
import time
from typing import Any

from . import clusters
from .kubectl import Kubectl, KubectlError

NAMESPACE = "flask-celery"
NAME = "demo"
EXAMPLE = "examples/fibpipeline.yaml"
INSTALL = "deploy/install.yaml"
PATIENCE_SECONDS = 600
NAMESPACE_MANIFEST = f"""
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("action", choices=("up", "down"), help="up: from nothing to a Ready pipeline; down: undo it")
    action = parser.parse_args().action
    cluster = clusters.choose(os.environ.get("CLUSTER", ""))
    try:
        up(cluster) if action == "up" else down(cluster)
    except KubectlError as error:
        sys.exit(str(error))


def up(cluster: str) -> None:
    """Bring up the cluster, install the operator, apply the example and wait until it is Ready. Safe to run twice."""
    started = time.monotonic()
    print(f"Cluster: {cluster} (choose with CLUSTER=lab|kind|current)", flush=True)
    target = clusters.bring_up(cluster)
    kubectl = Kubectl(target.env)
    print(f"Installing the operator: kubectl apply -f {INSTALL}", flush=True)
    kubectl("apply", "-f", INSTALL)
    kubectl("wait", "crd/fibpipelines.fibpipeline.io", "--for=condition=Established", "--timeout=60s")
    kubectl("-n", "fibpipeline-system", "rollout", "status", "deployment/fibpipeline-operator", "--timeout=120s")
    kubectl("apply", "-f", "-", stdin=NAMESPACE_MANIFEST)
    print(f"Applying the pipeline: kubectl apply -n {NAMESPACE} -f {EXAMPLE}", flush=True)
    kubectl("apply", "-n", NAMESPACE, "-f", EXAMPLE)
    applied = time.monotonic()
    _wait_until_ready(kubectl)
    now = time.monotonic()
    print(f"\nReady {now - applied:.1f} s after the apply, {now - started:.0f} s after the start.\n", flush=True)
    print(kubectl("get", "fibpipelines,pods,hpa,pvc", "-n", NAMESPACE))
    print(_what_to_try(cluster, target))


def down(cluster: str) -> None:
    """Undo `up`: the pipeline with its namespace and volumes, the operator, and the cluster if the demo made it."""
    if clusters.take_down(cluster):
        return
    kubectl = Kubectl(clusters.connect(cluster).env)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    kubectl("delete", "-f", INSTALL, "--ignore-not-found")


def _wait_until_ready(kubectl: Kubectl) -> None:
    """Print each component as it changes, until the pipeline of this generation is Ready."""
    shown: dict[str, str] = {}
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE_SECONDS:
        pipeline = kubectl.json("get", "fibpipeline", NAME, "-n", NAMESPACE)
        conditions = _conditions(pipeline)
        for kind, condition in conditions.items():
            line = f"{kind:<18} {'ok ' if condition['status'] == 'True' else '...'} {condition['message']}"
            if kind not in ("Ready", "Reconciling") and shown.get(kind) != line:
                print(f"{time.monotonic() - start:6.1f} s  {line}", flush=True)
                shown[kind] = line
        ready = conditions.get("Ready", {})
        if ready.get("status") == "True" and ready.get("observedGeneration") == pipeline["metadata"]["generation"]:
            return
        time.sleep(0.5)
    sys.exit(f"Not Ready after {PATIENCE_SECONDS} s. See: kubectl describe fib {NAME} -n {NAMESPACE}")


def _conditions(pipeline: dict[str, Any]) -> dict[str, Any]:
    return {condition["type"]: condition for condition in pipeline.get("status", {}).get("conditions", [])}


def _what_to_try(cluster: str, target: clusters.Target) -> str:
    login = f"kubectl get secret {NAME}-flower -n {NAMESPACE} -o jsonpath='{{.data.basic-auth}}' | base64 -d"
    forward = f"kubectl port-forward -n {NAMESPACE} svc/{NAME}"
    address = target.address or "http://localhost:8080"
    lines = [] if target.address else [f"First, in two terminals:  {forward}-api 8080:80   and   {forward}-flower 5555"]
    flower = f"{target.address}/flower" if target.address else "http://localhost:5555/flower"
    lines += [
        *(['For kubectl in this shell:  eval "$(make -s lab-env)"'] if cluster == "lab" else []),
        f"The page:       {address}/api",
        f"Flower:         {flower}",
        f"Flower's login: {login}",
        f"By hand:        curl -si {address}/api/jobs -H 'content-type: application/json' -d '{{\"n\":30}}'",
        f"Watch scaling:  kubectl get hpa -n {NAMESPACE} --watch",
        "Undo:           make demo-down",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
