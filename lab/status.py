"""The state of the lab in words."""

from __future__ import annotations

import json

from lab import cluster, controlplane, images, namespaces, node, parts, process
from lab.settings import KUBERNETES_VERSION, Settings


def text(settings: Settings) -> str:
    """Nodes, components, images, the last build's times and URLs, for a person."""
    up = namespaces.is_running(settings, controlplane.NAME)
    lines = [f"Lab in {settings.home}: " + ("up" if up else "not up (`python -m lab up`)")]
    if up:
        lines += [*_nodes(settings), *_components(settings)]
    lines += _images(settings)
    if built := parts.table(settings):
        lines += ["", "The last build", *built]
    if up:
        lines += [
            "",
            f"Ingress      http://localhost:{settings.ingress_port}",
            f"API server   {controlplane.API_URL} (Kubernetes {KUBERNETES_VERSION})",
            f"KUBECONFIG   {settings.kubeconfig}",
        ]
    return "\n".join(lines)


def _nodes(settings: Settings) -> list[str]:
    ready = cluster.ready_nodes(settings)
    pods: dict[str, int] = {}
    listed = cluster.kubectl(settings, "get", "pods", "--all-namespaces", "-o", "json", check=False)
    for item in json.loads(listed or '{"items": []}')["items"]:
        name = item["spec"].get("nodeName", "")
        pods[name] = pods.get(name, 0) + 1
    lines = ["", "Nodes"]
    for each in settings.nodes:
        state = "Ready" if each.name in ready else "not ready"
        if not node.is_running(settings, each):
            state = f"killed (`python -m lab node-start {each.number}`)"
        lines.append(f"  {each.name:<10} {each.address:<15} {state}, {pods.get(each.name, 0)} pods")
    return lines


def _components(settings: Settings) -> list[str]:
    lines = ["", "Components"]
    ready = cluster.kubectl(settings, "get", "--raw", "/readyz", check=False) == "ok"
    lines.append(f"  API server and etcd: {'ready' if ready else 'not ready (`python -m lab logs kube-apiserver`)'}")
    lines.append(f"  metrics API: {'answers' if cluster.metrics_api_answers(settings) else 'does not answer yet for every node'}")
    for name in (cluster.FORWARDER, cluster.POLICY_AGENT):
        running = process.recorded(settings.run / "processes", name)
        lines.append(f"  {name}: {'running' if running else 'NOT running (`python -m lab up` starts it)'}")
    return lines


def _images(settings: Settings) -> list[str]:
    lines = ["", "Images"]
    names = {key: images.load(key).name for key in (*images.STAND_INS, *images.SYSTEM)} | {
        key: images.project_image(key) for key in images.PROJECT
    }
    for key, name in names.items():
        file = images.archive(settings, key)
        lines.append(f"  {name:<45} " + (f"{file.stat().st_size / 2**20:.0f} MiB" if file.exists() else "not built"))
    return lines
