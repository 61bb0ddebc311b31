"""Links, addresses and routes between the host, the control plane and the nodes.

The control plane's namespace holds a bridge; the host and every node are on it by a veth pair. Pod ranges are plain routes to their
node, so there is no overlay; services are reached from the host through the kube-proxy in the control plane.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lab.process import run
from lab.settings import BRIDGE, CONTROL_PLANE_ADDRESS, HOST_ADDRESS, HOST_LINK, LINK_PREFIX, SERVICE_CIDR, LabError, Node


def _inside(pid: int, *command: str) -> None:
    run("nsenter", "--target", str(pid), "--net", *command)


def _batch(pid: int | None, lines: list[str]) -> None:
    prefix = ["nsenter", "--target", str(pid), "--net"] if pid else []
    run(*prefix, "ip", "-batch", "-", stdin="\n".join(lines) + "\n")


def connect_control_plane(pid: int, nodes: list[Node]) -> None:
    """Make the bridge in the namespace of `pid`, the host's link to it, and the host's routes."""
    _batch(
        pid,
        [
            "link set lo up",
            f"link add {BRIDGE} type bridge",
            f"address add {CONTROL_PLANE_ADDRESS}/{LINK_PREFIX} dev {BRIDGE}",
            f"link set {BRIDGE} up",
            *(f"route replace {node.pod_cidr} via {node.address}" for node in nodes),
        ],
    )
    _forward(pid)
    disconnect_host()
    _batch(None, [f"link add {HOST_LINK} type veth peer name lab-host netns {pid}"])
    _batch(pid, [f"link set lab-host master {BRIDGE} up"])
    _batch(
        None,
        [
            f"address add {HOST_ADDRESS}/{LINK_PREFIX} dev {HOST_LINK}",
            f"link set {HOST_LINK} up",
            f"route replace {SERVICE_CIDR} via {CONTROL_PLANE_ADDRESS}",
            *(f"route replace {node.pod_cidr} via {node.address}" for node in nodes),
        ],
    )


def connect_node(control_plane_pid: int, pid: int, node: Node, nodes: list[Node]) -> None:
    """Put the namespace of `pid` on the bridge as `node`, with routes to the other nodes' pods."""
    with suppress(LabError):  # of a node that was killed a moment ago
        _inside(control_plane_pid, "ip", "link", "delete", node.link)
    # Both ends are made inside their namespaces: the host never sees them.
    run("ip", "link", "add", node.link, "netns", str(control_plane_pid), "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    _batch(control_plane_pid, [f"link set {node.link} master {BRIDGE} up"])
    _forward(pid)
    _batch(
        pid,
        [
            "link set lo up",
            "link set eth0 up",
            f"address add {node.address}/{LINK_PREFIX} dev eth0",
            f"route replace default via {CONTROL_PLANE_ADDRESS}",
            *(f"route replace {other.pod_cidr} via {other.address}" for other in nodes if other != node),
        ],
    )


def _forward(pid: int) -> None:
    _inside(pid, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def disconnect_host() -> None:
    """Remove the host's link; its routes go with it."""
    if has_host_link():
        # It may vanish by itself at this very moment, with the namespace of its other end.
        with suppress(LabError):
            run("ip", "link", "delete", HOST_LINK)


def has_host_link() -> bool:
    """True if the host has the lab's link."""
    return (Path("/sys/class/net") / HOST_LINK).exists()


def other_lab_address() -> bool:
    """True if the host has the lab's network on some link that is not the lab's."""
    shown = run("ip", "-4", "-oneline", "address", "show")
    return any(f" {CONTROL_PLANE_ADDRESS.rsplit('.', 1)[0]}." in line and HOST_LINK not in line for line in shown.splitlines())


def is_connected(pid: int) -> bool:
    """True if the control plane's namespace is linked to the host."""
    return has_host_link() and _has_link(pid, "lab-host")


def has_node(control_plane_pid: int, node: Node) -> bool:
    """True if the node is on the bridge."""
    return _has_link(control_plane_pid, node.link)


def _has_link(pid: int, name: str) -> bool:
    try:
        _inside(pid, "ip", "link", "show", "dev", name)
    except LabError:
        return False
    return True
