"""Certificates and kubeconfigs, made by kubeadm and kept over `down`, so that a shell's KUBECONFIG stays good."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from lab import cache
from lab.process import run
from lab.settings import API_SERVICE_ADDRESS, CONTROL_PLANE_ADDRESS, KUBERNETES_VERSION, POD_CIDR, SERVICE_CIDR, Node, Settings

_RENEW_AFTER_DAYS = 200  # kubeadm's certificates are good for a year


def _kubeadm_config(node_name: str) -> list[dict[str, Any]]:
    api = "kubeadm.k8s.io/v1beta4"
    return [
        {
            "apiVersion": api,
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": CONTROL_PLANE_ADDRESS, "bindPort": 6443},
            "nodeRegistration": {"name": node_name, "criSocket": "unix:///run/containerd/containerd.sock"},
        },
        {
            "apiVersion": api,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{KUBERNETES_VERSION}",
            "clusterName": "fiblab",
            "encryptionAlgorithm": "ECDSA-P256",
            "controlPlaneEndpoint": f"{CONTROL_PLANE_ADDRESS}:6443",
            "networking": {"serviceSubnet": SERVICE_CIDR, "podSubnet": POD_CIDR, "dnsDomain": "cluster.local"},
            "apiServer": {"certSANs": ["localhost", "127.0.0.1", CONTROL_PLANE_ADDRESS, API_SERVICE_ADDRESS]},
        },
    ]


def ensure(settings: Settings) -> bool:
    """Make certificates and kubeconfigs unless they are there and fresh; True if they had to be made."""
    month = int(time.time() // (86400 * _RENEW_AFTER_DAYS))
    key = cache.digest(json.dumps(_kubeadm_config("")), str(settings.pki), str(month))
    made = cache.refresh(settings.pki, key, lambda folder: _make(settings, folder))
    for node in settings.nodes:
        if not node_kubeconfig(settings, node).exists():
            _make_node(settings, node)
            made = True
    return made


def node_kubeconfig(settings: Settings, node: Node) -> Path:
    """The kubelet's kubeconfig."""
    return settings.pki / node.name / "kubelet.conf"


def _make(settings: Settings, folder: Path) -> None:
    config = _write_config(folder / "kubeadm.yaml", "control-plane", folder)
    kubeadm = settings.bin / "kubeadm"
    run(kubeadm, "init", "phase", "certs", "all", "--config", config)
    run(kubeadm, "init", "phase", "kubeconfig", "all", "--config", config, "--kubeconfig-dir", folder)


def _make_node(settings: Settings, node: Node) -> None:
    folder = settings.pki / node.name
    folder.mkdir(exist_ok=True)
    config = _write_config(folder / "kubeadm.yaml", node.name, settings.pki)
    run(settings.bin / "kubeadm", "init", "phase", "kubeconfig", "kubelet", "--config", config, "--kubeconfig-dir", folder)


def _write_config(file: Path, node_name: str, certificates: Path) -> Path:
    documents = _kubeadm_config(node_name)
    documents[1]["certificatesDir"] = str(certificates)
    # JSON is YAML.
    file.write_text("\n---\n".join(json.dumps(document, indent=1) for document in documents))
    return file
