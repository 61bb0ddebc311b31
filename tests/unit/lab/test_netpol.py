"""NetworkPolicies become the rules the specification asks for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lab.netpol import Pod, Port, compile_node, directions, matches, pod_of

NAMESPACES = {"shop": {"team": "a"}, "edge": {"role": "ingress"}, "other": {}}
WEB = Pod("shop", "web", "10.244.1.2", "node-1", frozenset({("app", "web")}), (Port("http", "TCP", 8000), Port("dns", "UDP", 5353)))
DB = Pod("shop", "db", "10.244.2.2", "node-2", frozenset({("app", "db")}), (Port("sql", "TCP", 5432),))
PROXY = Pod("edge", "proxy", "10.244.2.3", "node-2", frozenset({("app", "proxy")}))
STRANGER = Pod("other", "web", "10.244.2.4", "node-2", frozenset({("app", "web")}))
PODS = [WEB, DB, PROXY, STRANGER]


def policy(spec: dict[str, Any], namespace: str = "shop") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": "p"}, "spec": {"podSelector": {"matchLabels": {"app": "web"}}, **spec}}


def chain(ruleset: str, name: str) -> list[str] | None:
    found = re.search(rf"chain {name} {{[^\n]*\n(.*?)\n  }}", ruleset, re.DOTALL)
    return [line.strip() for line in found.group(1).splitlines()] if found else None


INGRESS, EGRESS = "ingress_10_244_1_2", "egress_10_244_1_2"
SELF_IN, SELF_OUT = "ip saddr 10.244.1.2 return", "ip daddr 10.244.1.2 return"


@pytest.mark.parametrize(
    ("spec", "name", "rules"),
    [
        pytest.param({"ingress": []}, INGRESS, [SELF_IN, "drop"], id="no rule lets nobody in"),
        pytest.param({"ingress": [{}]}, INGRESS, [SELF_IN, "return", "drop"], id="an empty rule lets everybody in"),
        pytest.param({"ingress": [{"from": []}]}, INGRESS, [SELF_IN, "return", "drop"], id="empty peers are everybody"),
        pytest.param(
            {"ingress": [{"from": [{"podSelector": {}}]}]},
            INGRESS,
            [SELF_IN, "ip saddr { 10.244.1.2, 10.244.2.2 } return", "drop"],
            id="an empty pod selector is the own namespace",
        ),
        pytest.param(
            {"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"role": "ingress"}}}], "ports": [{"port": 8000}]}]},
            INGRESS,
            [SELF_IN, "ip saddr { 10.244.2.3 } tcp dport 8000 return", "drop"],
            id="a namespace by its labels, one port",
        ),
        pytest.param(
            {"ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]}]},
            INGRESS,
            [SELF_IN, "ip saddr { 10.244.1.2, 10.244.2.4 } return", "drop"],
            id="both selectors in one peer must hold",
        ),
        pytest.param(
            {
                "ingress": [
                    {"from": [{"namespaceSelector": {"matchLabels": {"role": "ingress"}}}, {"podSelector": {"matchLabels": {"app": "db"}}}]}
                ]
            },
            INGRESS,
            [SELF_IN, "ip saddr { 10.244.2.3 } return", "ip saddr { 10.244.2.2 } return", "drop"],
            id="two peers are alternatives",
        ),
        pytest.param(
            {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]}]},
            INGRESS,
            [SELF_IN, "drop"],
            id="a peer without pods",
        ),
        pytest.param(
            {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16"]}}]}]},
            INGRESS,
            [SELF_IN, "ip saddr 10.0.0.0/8 ip saddr != 10.244.0.0/16 return", "drop"],
            id="an address block with an exception",
        ),
        pytest.param(
            {
                "ingress": [
                    {"ports": [{"port": "http"}, {"port": "dns", "protocol": "UDP"}, {"port": 9000, "endPort": 9010}, {"protocol": "UDP"}]}
                ]
            },
            INGRESS,
            [SELF_IN, "tcp dport 8000 return", "udp dport 5353 return", "tcp dport 9000-9010 return", "meta l4proto udp return", "drop"],
            id="named ports, a range, a whole protocol",
        ),
        pytest.param({"ingress": [{"ports": [{"port": "no-such"}]}]}, INGRESS, [SELF_IN, "drop"], id="an unknown port name opens nothing"),
        pytest.param({"ingress": []}, EGRESS, None, id="ingress alone leaves egress open"),
        pytest.param({"policyTypes": ["Egress"]}, INGRESS, None, id="egress alone leaves ingress open"),
        pytest.param({"policyTypes": ["Egress"]}, EGRESS, [SELF_OUT, "drop"], id="egress without rules lets nothing out"),
        pytest.param(
            {"egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": "sql"}]}]},
            EGRESS,
            [SELF_OUT, "ip daddr { 10.244.2.2 } ip daddr 10.244.2.2 tcp dport 5432 return", "drop"],
            id="a named egress port is the receiver's",
        ),
        pytest.param({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": []}, INGRESS, None, id="another pod's policy"),
    ],
)
def test_rules_of_a_pod(spec: dict[str, Any], name: str, rules: list[str] | None) -> None:
    assert chain(compile_node("node-1", PODS, NAMESPACES, [policy(spec)]), name) == rules


def test_policies_add_up() -> None:
    one = policy({"ingress": [{"ports": [{"port": 1}]}]})
    two = policy({"ingress": [{"ports": [{"port": 2}]}]})
    assert chain(compile_node("node-1", PODS, NAMESPACES, [one, two]), INGRESS) == [
        SELF_IN,
        "tcp dport 1 return",
        "tcp dport 2 return",
        "drop",
    ]


def test_a_node_judges_its_own_pods_only() -> None:
    ruleset = compile_node("node-2", PODS, NAMESPACES, [policy({"ingress": [], "policyTypes": ["Ingress", "Egress"]})])
    assert "vmap" not in ruleset


def test_a_policy_of_another_namespace_does_not_apply() -> None:
    assert "vmap" not in compile_node("node-1", PODS, NAMESPACES, [policy({"ingress": []}, namespace="edge")])


def test_the_ruleset_replaces_the_former_one_and_looks_at_both_directions() -> None:
    ruleset = compile_node("node-1", PODS, NAMESPACES, [policy({"policyTypes": ["Ingress", "Egress"]})])
    assert ruleset.startswith("table ip lab_policy\ndelete table ip lab_policy\n")
    assert f"ip saddr vmap {{ 10.244.1.2 : jump {EGRESS} }}" in ruleset
    assert f"ip daddr vmap {{ 10.244.1.2 : jump {INGRESS} }}" in ruleset


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_label_selectors(selector: dict[str, Any] | None, selected: bool) -> None:
    assert matches(selector, {"app": "web"}) is selected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"Ingress"}),
        ({"egress": [{}]}, {"Ingress", "Egress"}),
        ({"policyTypes": ["Egress"]}, {"Egress"}),
    ],
)
def test_directions(spec: dict[str, Any], expected: set[str]) -> None:
    assert directions(policy(spec)) == expected


@pytest.mark.parametrize(
    "change",
    [{"status": {}}, {"status": {"podIP": "10.0.0.1", "phase": "Succeeded"}}, {"spec": {"containers": [], "hostNetwork": True}}],
    ids=["no address yet", "ended", "on the host's network"],
)
def test_pods_no_policy_can_apply_to(change: dict[str, Any]) -> None:
    item = {"metadata": {"namespace": "a", "name": "b"}, "spec": {"containers": []}, "status": {"podIP": "10.0.0.1"}}
    assert pod_of(item) is not None
    assert pod_of({**item, **change}) is None
