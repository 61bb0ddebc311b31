"""Requests that fail: whatever becomes of one of them, the end is that of a run without faults."""

from typing import Any

import pytest

from tests.cluster.conftest import OperatorProcess
from tests.cluster.faults.breakage import answer, delay, drop_after, drop_before, twice
from tests.cluster.faults.conftest import Stage
from tests.cluster.proxy import Fault, Proxy

SLOW_DOWN = {"Retry-After": "1"}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(drop_before, id="dropped before the server"),
        pytest.param(drop_after, id="dropped after the server"),
        pytest.param(delay(0.5), id="delayed"),
        pytest.param(twice, id="sent twice"),
        pytest.param(answer(409, "Conflict"), id="409"),
        pytest.param(answer(429, "TooManyRequests", SLOW_DOWN), id="429"),
        pytest.param(answer(500, "InternalError"), id="500"),
        pytest.param(answer(503, "ServiceUnavailable"), id="503"),
    ],
)
def test_row_16_writes_that_fail(operator: OperatorProcess, stage: Stage, proxy: Proxy, clean: dict[str, Any], fault: Fault) -> None:
    with proxy.rule(fault, namespace=stage.name, match=lambda call: call.writes, skip=9, times=5) as rule:
        stage.create()
        stage.becomes(clean)
        assert rule.hits == 5
    told = stage.kubectl("get", "events.events.k8s.io", "-o", "jsonpath={.items[?(@.regarding.kind=='FibPipeline')].reason}").split()
    assert "Conflict" not in told, "nobody took a name"
    stage.stays_through_restarts(operator)
