"""Certificates and kubeconfigs, made as kubeadm makes them and kept over `down`, so that a shell's KUBECONFIG stays good."""

from __future__ import annotations

import time
from pathlib import Path

from lab import cache
from lab.process import run
from lab.settings import API_SERVICE_ADDRESS, CONTROL_PLANE_ADDRESS, SERVICE_CIDR, Node, Settings

_RENEW_AFTER_DAYS = 200  # a certificate is good for a year


_KUBECONFIGS = ("admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf")
_FLAGS = (
    *("--cluster", "fiblab", "--address", CONTROL_PLANE_ADDRESS, "--services", SERVICE_CIDR),
    *("--names", f"localhost,127.0.0.1,{CONTROL_PLANE_ADDRESS},{API_SERVICE_ADDRESS}"),
)


def ensure(settings: Settings) -> bool:
    """Make certificates and kubeconfigs unless they are there and fresh; True if they had to be made."""
    month = int(time.time() // (86400 * _RENEW_AFTER_DAYS))
    key = cache.digest(*_FLAGS, *_KUBECONFIGS, str(settings.pki), str(month))
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
    _certificates(settings, "control-plane", folder, folder, *_KUBECONFIGS)


def _make_node(settings: Settings, node: Node) -> None:
    folder = settings.pki / node.name
    folder.mkdir(exist_ok=True)
    _certificates(settings, node.name, settings.pki, folder, "kubelet.conf")


def _certificates(settings: Settings, node_name: str, certificates: Path, kubeconfigs: Path, *names: str) -> None:
    """Make the certificates in one folder, unless it has them, and the named kubeconfigs in another."""
    run(settings.bin / "certificates", *_FLAGS, "--node", node_name, "--certificates", certificates, "--kubeconfigs", kubeconfigs, *names)
