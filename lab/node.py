"""One worker node: its namespaces, its containerd, kubelet and kube-proxy; start, kill, start again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lab import cgroups, controlplane, namespaces, network, pki, store
from lab.settings import CGROUP, DNS_ADDRESS, Node, Settings

_BIND = {"kubelet": "/var/lib/kubelet", "pod-logs": "/var/log/pods", "volumes": "/var/lib/local-path"}
"""What a node keeps over a restart, by its folder in the node's state."""


def launch(settings: Settings, node: Node) -> None:
    """Start a node that does not run. It keeps what it had: images, volumes, kubelet state."""
    state = settings.node_state(node)
    state.mkdir(parents=True, exist_ok=True)
    store.copy_to(settings, state / "containerd")
    for folder in _BIND:
        (state / folder).mkdir(exist_ok=True)
    _write_configuration(settings, node, state)
    cgroups.remove(node)
    cgroups.create(node)
    plan = state / "plan.json"
    plan.write_text(json.dumps(_plan(settings, node, state), indent=1))
    namespaces.launch(settings, node.name, plan)


def connect(settings: Settings, node: Node) -> None:
    """Put a launched node on the network; its programs start then."""
    control_plane, own = (namespaces.inner_pid(settings, name) for name in (controlplane.NAME, node.name))
    network.connect_node(control_plane, own, node, settings.nodes)


def kill(settings: Settings, node: Node) -> bool:
    """End everything on the node at once, as a power cut would; True if it was running."""
    was_running = namespaces.kill(settings, node.name)
    cgroups.remove(node)
    return was_running


def is_running(settings: Settings, node: Node) -> bool:
    """True if the node's processes are there."""
    return namespaces.is_running(settings, node.name)


def _plan(settings: Settings, node: Node, state: Path) -> dict[str, Any]:
    tmpfs = [["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", place] for place in ("/run", "/var/lib", "/var/log")]
    folders = ["/run/netns", "/run/lock", "/run/containerd", "/var/lib/cni", *_BIND.values()]
    environment = {"PATH": f"{settings.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    programs = {
        "containerd": ["--config", str(state / "containerd.toml")],
        "kubelet": [
            f"--config={state / 'kubelet.json'}",
            f"--kubeconfig={pki.node_kubeconfig(settings, node)}",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
        ],
        "kube-proxy": controlplane.kube_proxy(settings, node.name),
    }
    return {
        "hostname": node.name,
        # Fresh /run, /var/lib and /var/log: nodes do not collide, and nothing of them reaches the host's directories.
        "setup": [
            ["mount", "--make-rshared", "/"],
            *tmpfs,
            ["mkdir", "-p", *folders],
            *(["mount", "--bind", str(state / folder), place] for folder, place in _BIND.items()),
        ],
        "wait_link": "eth0",
        "programs": [
            {
                "name": name,
                "command": [str(settings.bin / name), *flags],
                "environment": environment,
                "log": str(settings.logs / f"{node.name}-{name}.log"),
            }
            for name, flags in programs.items()
        ],
    }


def _write_configuration(settings: Settings, node: Node, state: Path) -> None:
    cni = state / "cni"
    cni.mkdir(exist_ok=True)
    (cni / "10-lab.conflist").write_text(json.dumps(_cni(node), indent=1))
    (state / "containerd.toml").write_text(_containerd(settings, state))
    (state / "kubelet.json").write_text(json.dumps(_kubelet(settings, node), indent=1))


def _cni(node: Node) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "lab",
        "plugins": [
            {
                # Not a bridge: packets between pods, also on one node, must be routed, so that policies can be enforced.
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": node.pod_cidr}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": "/run/cni-ipam",
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }


def _containerd(settings: Settings, state: Path) -> str:
    return f"""\
version = 3
root = "{state / "containerd"}"
state = "/run/containerd"

[grpc]
address = "/run/containerd/containerd.sock"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "localhost/pause:1"

[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE a pod with a negative oom_score_adj could not start.
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{state / "cni"}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{settings.bin / "runc"}"
SystemdCgroup = false
"""


def _kubelet(settings: Settings, node: Node) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": str(settings.pki / "ca.crt")},
            "webhook": {"enabled": True},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}/{node.name}",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        # The host's name servers are of no use to a pod: it has no way out.
        "resolvConf": "",
        # Images are preloaded and there is no registry to bring one back.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        "nodeStatusUpdateFrequency": "5s",
        "nodeLeaseDurationSeconds": 20,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }


def forget(settings: Settings, node: Node) -> None:
    """Delete what a stopped node keeps."""
    shutil.rmtree(settings.node_state(node), ignore_errors=True)
