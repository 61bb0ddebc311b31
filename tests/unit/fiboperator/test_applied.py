"""Whether a live object is what we want."""

from typing import Any

import pytest

from fiboperator.applied import is_applied, stamped, stands_in


@pytest.mark.parametrize(
    ("desired", "live", "same"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 1}}, True),
        ({"emptyDir": {}}, {}, True),
        ({"selector": {"a": "b"}}, {"selector": {"a": "b", "c": "d"}}, False),
        ({"podSelector": {"matchLabels": {"a": "b"}}}, {"podSelector": {"matchLabels": {"a": "b", "c": "d"}}}, False),
        ({"podSelector": {"matchLabels": {"a": "b"}}}, {"podSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{}]}}, False),
        ({"podSelector": {}}, {"podSelector": {"matchLabels": {"a": "b"}}}, False),
        ({"cpu": "1000m"}, {"cpu": "1"}, True),
        ({"memory": "1Gi"}, {"memory": "1024Mi"}, True),
        ({"memory": "1Gi"}, {"memory": "1G"}, False),
        ({"enabled": True}, {"enabled": "1"}, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ([{"name": "a", "x": 1}], [{"name": "injected"}, {"name": "a", "x": 1, "y": 2}], True),
        ([{"name": "a", "x": 1}], [{"name": "a", "x": 2}], False),
        ([{"name": "a"}], [{"name": "b"}], False),
        ([{"mountPath": "/a", "name": "v"}, {"mountPath": "/b", "name": "v"}], [{"mountPath": "/a", "name": "v"}], False),
    ],
)
def test_every_desired_field_must_stand_in_the_live_object(desired: Any, live: Any, same: bool) -> None:
    assert stands_in(desired, live) is same


@pytest.mark.parametrize(
    "spec",
    [
        {"ingress": [{"from": [{"podSelector": {"a": "b"}, "namespaceSelector": {}}]}], "egress": []},
        {"ingress": [{"from": [{"podSelector": {"a": "b"}}]}], "egress": [{}]},
        {"ingress": [{"from": [{"podSelector": {"a": "b"}}], "ports": [{"port": 1, "endPort": 9}]}]},
    ],
)
def test_whatever_is_added_to_a_network_policy_is_noticed(spec: Any) -> None:
    policy: dict[str, Any] = {"kind": "NetworkPolicy", "spec": {"ingress": [{"from": [{"podSelector": {"a": "b"}}]}], "egress": []}}
    assert is_applied(policy, {**policy, "spec": {"ingress": policy["spec"]["ingress"]}}), "an empty list is left out by the API server"
    assert not is_applied(policy, {**policy, "spec": spec})


def test_a_field_that_we_no_longer_want_is_noticed() -> None:
    before = stamped({"metadata": {"name": "x"}, "spec": {"a": 1, "b": 2}})
    after = stamped({"metadata": {"name": "x"}, "spec": {"a": 1}})
    assert is_applied(before, before)
    assert not is_applied(after, before), "its fields all stand there, but b must go"
    assert not is_applied(after, None)
