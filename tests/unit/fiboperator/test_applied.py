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


def test_a_field_that_we_no_longer_want_is_noticed() -> None:
    before = stamped({"metadata": {"name": "x"}, "spec": {"a": 1, "b": 2}})
    after = stamped({"metadata": {"name": "x"}, "spec": {"a": 1}})
    assert is_applied(before, before)
    assert not is_applied(after, before), "its fields all stand there, but b must go"
    assert not is_applied(after, None)
