"""Names, versions, addresses and paths of the lab: the only place that decides them."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LAB = REPOSITORY / "lab"

KUBERNETES_VERSION = "1.36.3"
SERVICE_CIDR = "10.96.0.0/16"
POD_CIDR = "10.244.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
INGRESS_ADDRESS = "10.96.0.80"
CONTROL_PLANE_ADDRESS = "172.31.255.1"
HOST_ADDRESS = "172.31.255.254"
LINK_PREFIX = 24
"""Prefix length of the small network between host, control plane and nodes."""
HOST_LINK = "labh"
BRIDGE = "br0"
CGROUP = "lab"
"""The lab's own directory in every cgroup hierarchy."""

DEFAULT_NODES = 5
MAX_NODES = 50


class LabError(Exception):
    """Something a person can mend; the text says what and how."""


@dataclass(frozen=True)
class Node:
    """One worker node: its number decides its name and addresses."""

    number: int

    @property
    def name(self) -> str:
        """Name of the Node object."""
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        """The node's InternalIP."""
        return f"172.31.255.{10 + self.number}"

    @property
    def pod_cidr(self) -> str:
        """The range the node's pods get their addresses from."""
        return f"10.244.{self.number}.0/24"

    @property
    def link(self) -> str:
        """Bridge-side end of the node's veth pair."""
        return f"lab-n{self.number}"


@dataclass(frozen=True)
class Settings:
    """What a user may set (all by environment variables, see `python -m lab --help`) and the paths that follow from it."""

    home: Path
    node_count: int = DEFAULT_NODES
    ingress_port: int = 8080
    apiserver_flags: list[str] = field(default_factory=list)
    controller_manager_flags: list[str] = field(default_factory=list)

    @classmethod
    def from_environment(cls, node_count: int | None = None) -> Settings:
        """Read FIBLAB_*; `node_count` (from the command line) wins over FIBLAB_NODES, and that over a running lab's number."""
        home = Path(os.environ.get("FIBLAB_HOME") or "~/.cache/fibpipeline-lab").expanduser().resolve()
        for hidden in ("/run", "/var/lib", "/var/log", "/proc", "/sys", "/dev"):
            for path in (home, REPOSITORY):
                if path.is_relative_to(hidden):
                    raise LabError(f"{path} lies under {hidden}, which every node covers with its own; choose another place (FIBLAB_HOME)")
        if node_count is None:
            text = os.environ.get("FIBLAB_NODES") or _running_nodes(home) or str(DEFAULT_NODES)
            if not text.isdigit():
                raise LabError(f"FIBLAB_NODES must be a number, not {text!r}")
            node_count = int(text)
        if not 1 <= node_count <= MAX_NODES:
            raise LabError(f"the lab has 1 to {MAX_NODES} nodes, not {node_count}")
        return cls(
            home=home,
            node_count=node_count,
            ingress_port=int(os.environ.get("FIBLAB_INGRESS_PORT", "8080")),
            apiserver_flags=shlex.split(os.environ.get("FIBLAB_APISERVER_FLAGS", "")),
            controller_manager_flags=shlex.split(os.environ.get("FIBLAB_CONTROLLER_MANAGER_FLAGS", "")),
        )

    @property
    def nodes(self) -> list[Node]:
        """All nodes, node-1 first."""
        return [Node(number) for number in range(1, self.node_count + 1)]

    @property
    def bin(self) -> Path:
        """The built binaries."""
        return self.home / "bin"

    @property
    def images(self) -> Path:
        """One folder per image: archive, unpacked root, what it was built from."""
        return self.home / "images"

    @property
    def store(self) -> Path:
        """The prepared containerd root every node starts from."""
        return self.home / "store"

    @property
    def run(self) -> Path:
        """State of the running lab; gone after `down`."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One log file per component."""
        return self.run / "logs"

    @property
    def pki(self) -> Path:
        """Certificates and kubeconfigs; kept over `down`, so that a kubeconfig stays valid."""
        return self.home / "pki"

    @property
    def kubeconfig(self) -> Path:
        """For people and tests: cluster-admin."""
        return self.pki / "admin.conf"

    @property
    def system_kubeconfig(self) -> Path:
        """For the lab's own programs (system:masters); the audit log leaves its requests out."""
        return self.pki / "super-admin.conf"

    @property
    def node_count_note(self) -> Path:
        """Holds the number of nodes of the running lab."""
        return self.run / "node-count"

    def node_state(self, node: Node) -> Path:
        """What a node keeps over node-kill and node-start: image store, volumes, kubelet state."""
        return self.run / node.name


def _running_nodes(home: Path) -> str:
    try:
        return Settings(home).node_count_note.read_text()
    except OSError:
        return ""
