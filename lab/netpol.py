"""NetworkPolicies as an nftables ruleset: pure functions, Kubernetes objects in, text out.

A packet is judged twice, as in any implementation: where it leaves (egress rules of the sending pod, on its node) and where it arrives
(ingress rules of the receiving pod, on its node). A pod that no policy selects for a direction is open in that direction.
Not covered: hostNetwork pods, SCTP, IPv6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TABLE = "lab_policy"


@dataclass(frozen=True)
class Port:
    """A named port of a container."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True)
class Pod:
    """What policies look at in a pod that has an address."""

    namespace: str
    name: str
    ip: str
    node: str
    labels: frozenset[tuple[str, str]]
    ports: tuple[Port, ...] = ()


def pod_of(item: Mapping[str, Any]) -> Pod | None:
    """A Pod of an API object; None if no policy can apply to it (no address yet, ended, or on the host's network)."""
    spec, status, metadata = item["spec"], item.get("status", {}), item["metadata"]
    if not status.get("podIP") or spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    ports = tuple(
        Port(port["name"], port.get("protocol", "TCP"), port["containerPort"])
        for container in spec["containers"]
        for port in container.get("ports") or ()
        if port.get("name")
    )
    labels = frozenset((metadata.get("labels") or {}).items())
    return Pod(metadata["namespace"], metadata["name"], status["podIP"], spec.get("nodeName", ""), labels, ports)


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """True if a label selector selects; an empty one selects everything, a missing one nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"unknown operator {expression['operator']}")


def directions(policy: Mapping[str, Any]) -> set[str]:
    """ "Ingress", "Egress" or both: what a policy isolates its pods for."""
    spec = policy["spec"]
    if types := spec.get("policyTypes"):
        return set(types)
    return {"Ingress", "Egress"} if spec.get("egress") else {"Ingress"}


def compile_node(node: str, pods: Iterable[Pod], namespaces: Mapping[str, Mapping[str, str]], policies: Sequence[Mapping[str, Any]]) -> str:
    """The ruleset of one node, to be loaded with `nft -f -`: it replaces the node's earlier one in one step."""
    everyone = sorted(pods, key=lambda pod: (pod.namespace, pod.name))
    jumps: dict[str, list[str]] = {"Egress": [], "Ingress": []}
    chains: list[str] = []
    for pod in (pod for pod in everyone if pod.node == node):
        own = [
            policy
            for policy in policies
            if policy["metadata"]["namespace"] == pod.namespace and matches(policy["spec"].get("podSelector", {}), dict(pod.labels))
        ]
        for direction in jumps:
            isolating = [policy for policy in own if direction in directions(policy)]
            if not isolating:
                continue
            chain = f"{direction.lower()}_{pod.ip.replace('.', '_')}"
            jumps[direction].append(f"{pod.ip} : jump {chain}")
            chains += [
                f"  chain {chain} {{  # {pod.namespace}/{pod.name}",
                *(f"    {rule}" for rule in _rules(pod, direction, isolating, everyone, namespaces)),
                "  }",
            ]
    lines = [f"table ip {TABLE}", f"delete table ip {TABLE}", f"table ip {TABLE} {{", *chains]
    lines += [
        "  chain forward {",
        "    type filter hook forward priority filter + 10; policy accept;",
        "    ct state established,related accept",
    ]
    lines += [
        f"    ip {side} vmap {{ {', '.join(jumps[key])} }}" for key, side in (("Egress", "saddr"), ("Ingress", "daddr")) if jumps[key]
    ]
    return "\n".join([*lines, "  }", "}", ""])


def _rules(
    pod: Pod, direction: str, policies: Iterable[Mapping[str, Any]], pods: Sequence[Pod], namespaces: Mapping[str, Mapping[str, str]]
) -> list[str]:
    side = "saddr" if direction == "Ingress" else "daddr"
    # A pod can always reach itself, also by way of its own Service.
    found = [f"ip {side} {pod.ip} return"]
    for policy in policies:
        for rule in policy["spec"].get(direction.lower()) or ():
            peers = rule.get("from" if direction == "Ingress" else "to")
            for match, targets in _peers(peers, side, policy["metadata"]["namespace"], pods, namespaces):
                # A named port is the receiver's: the pod itself, or each peer its own.
                for port in _ports(rule.get("ports"), [pod] if direction == "Ingress" else targets, direction):
                    found.append(" ".join(part for part in (match, port, "return") if part))
    return [*dict.fromkeys(found), "drop"]


def _peers(
    peers: Sequence[Mapping[str, Any]] | None,
    side: str,
    own_namespace: str,
    pods: Sequence[Pod],
    namespaces: Mapping[str, Mapping[str, str]],
) -> list[tuple[str, list[Pod]]]:
    """Address matches of a rule's peers, each with the pods it means."""
    if not peers:
        return [("", list(pods))]
    found: list[tuple[str, list[Pod]]] = []
    for peer in peers:
        if block := peer.get("ipBlock"):
            excluded = "".join(f" ip {side} != {cidr}" for cidr in block.get("except") or ())
            found.append((f"ip {side} {block['cidr']}{excluded}", []))
            continue
        chosen = [pod for pod in pods if _is_peer(peer, pod, own_namespace, namespaces)]
        if chosen:
            found.append((f"ip {side} {{ {', '.join(sorted({pod.ip for pod in chosen}))} }}", chosen))
    return found


def _is_peer(peer: Mapping[str, Any], pod: Pod, own_namespace: str, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    if "namespaceSelector" in peer:
        if not matches(peer["namespaceSelector"], namespaces.get(pod.namespace, {})):
            return False
    elif pod.namespace != own_namespace:
        return False
    return "podSelector" not in peer or matches(peer["podSelector"], dict(pod.labels))


def _ports(ports: Sequence[Mapping[str, Any]] | None, receivers: Sequence[Pod], direction: str) -> list[str]:
    """Port matches of a rule; "" is every port. A named egress port also says which receiver has it."""
    if not ports:
        return [""]
    found = []
    for entry in ports:
        protocol, port = entry.get("protocol", "TCP").lower(), entry.get("port")
        if port is None:
            found.append(f"meta l4proto {protocol}")
        elif isinstance(port, int):
            last = entry.get("endPort")
            found.append(f"{protocol} dport {port}-{last}" if last else f"{protocol} dport {port}")
        else:
            for pod in receivers:
                for named in pod.ports:
                    if named.name == port and named.protocol.lower() == protocol:
                        address = f"ip daddr {pod.ip} " if direction == "Egress" else ""
                        found.append(f"{address}{protocol} dport {named.number}")
    return found
