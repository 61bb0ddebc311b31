"""The control plane's programs and their flags: etcd, API server, controller-manager, scheduler, and the add-ons that run as processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.settings import BRIDGE, CONTROL_PLANE_ADDRESS, LAB, POD_CIDR, SERVICE_CIDR, Settings

NAME = "control-plane"
API_URL = f"https://{CONTROL_PLANE_ADDRESS}:6443"
# Of use with nodes only, and perhaps not built yet while the control plane starts.
_AFTER_THE_NODES = ("metrics-server", "local-path-provisioner")
# With the default 20 requests a second a thousand pods wait on the client's own limiter.
_FAST_CLIENT = ("--kube-api-qps=300", "--kube-api-burst=600")


def plan(settings: Settings) -> dict[str, Any]:
    """What the supervisor of the control plane sets up and runs."""
    return {
        "hostname": NAME,
        "setup": [["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"]],
        "wait_link": BRIDGE,
        "programs": [
            _program(settings, name, flags) | ({"after": str(nodes_registered(settings))} if name in _AFTER_THE_NODES else {})
            for name, flags in (
                ("etcd", _etcd(settings)),
                ("kube-apiserver", _apiserver(settings)),
                ("kube-controller-manager", _controller_manager(settings)),
                ("kube-scheduler", _scheduler(settings)),
                ("kube-proxy", kube_proxy(settings, "node-1")),
                ("metrics-server", _metrics_server(settings)),
                ("local-path-provisioner", _local_path(settings)),
            )
        ],
    }


def _program(settings: Settings, name: str, flags: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "command": [str(settings.bin / name), *flags],
        "environment": {},
        "log": str(settings.logs / f"{name}.log"),
    }


def _etcd(settings: Settings) -> list[str]:
    return [
        f"--data-dir={settings.run / 'etcd'}",
        "--name=lab",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        # The state of a lab may be lost with the machine; its speed may not.
        "--unsafe-no-fsync",
    ]


def _apiserver(settings: Settings) -> list[str]:
    pki = settings.pki
    return [
        f"--advertise-address={CONTROL_PLANE_ADDRESS}",
        "--secure-port=6443",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # Node names do not resolve here.
        "--kubelet-preferred-address-types=InternalIP",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        # For the metrics API, which is served by another program.
        "--enable-aggregator-routing=true",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        f"--audit-policy-file={LAB / 'config/audit-policy.yaml'}",
        f"--audit-log-path={audit_log(settings)}",
        "--audit-log-maxsize=500",
        "--audit-log-maxbackup=1",
        *settings.apiserver_flags,
    ]


def _controller_manager(settings: Settings) -> list[str]:
    pki, kubeconfig = settings.pki, settings.pki / "controller-manager.conf"
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--cluster-cidr={POD_CIDR}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        # The default of 50 s makes every test of a lost node half a minute longer.
        "--node-monitor-grace-period=20s",
        *_FAST_CLIENT,
        *settings.controller_manager_flags,
    ]


def _scheduler(settings: Settings) -> list[str]:
    kubeconfig = settings.pki / "scheduler.conf"
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        *_FAST_CLIENT,
    ]


def kube_proxy(settings: Settings, node_name: str) -> list[str]:
    """Flags of a kube-proxy, on a node or (for the host's way to services, in the name of some node) beside the API server."""
    return [
        f"--kubeconfig={settings.system_kubeconfig}",
        f"--hostname-override={node_name}",
        "--proxy-mode=nftables",
        f"--cluster-cidr={POD_CIDR}",
        # These sysctls cannot be written in a network namespace: without the zeros it would exit.
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    ]


def _metrics_server(settings: Settings) -> list[str]:
    kubeconfig = settings.system_kubeconfig
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--secure-port=4443",
        f"--cert-dir={settings.run / 'metrics-server'}",
        "--kubelet-insecure-tls",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=10s",
        # Must be shorter than the resolution, or it refuses to start.
        "--kubelet-request-timeout=5s",
    ]


def _local_path(settings: Settings) -> list[str]:
    return [
        "start",
        f"--kubeconfig={settings.system_kubeconfig}",
        f"--config={LAB / 'config/local-path/config.json'}",
        f"--helper-pod-file={LAB / 'config/local-path/helper-pod.yaml'}",
        "--namespace=local-path-storage",
        "--configmap-name=local-path-config",
        "--service-account-name=default",
    ]


def nodes_registered(settings: Settings) -> Path:
    """A file that appears when the nodes are there.

    metrics-server has figures from its second round on, ten seconds after its start; started before the nodes it would lose a round.
    """
    return settings.run / "nodes-registered"


def audit_log(settings: Settings) -> Path:
    """Where the API server writes one JSON line a request."""
    return settings.logs / "audit.log"
