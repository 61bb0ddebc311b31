"""The operator killed at every moment that matters: right after each of its writes."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from tests.cluster.conftest import OperatorProcess
from tests.cluster.faults.breakage import CrashAfter
from tests.cluster.faults.conftest import Stage, has_looked_at
from tests.cluster.kubectl import Kubectl
from tests.cluster.proxy import Proxy
from tests.waiting import eventually


@pytest.fixture
def stages(kubectl: Kubectl, api: httpx.Client, proxy: Proxy) -> Iterator[Iterator[Stage]]:
    """As many stages as are asked for."""
    made: list[Stage] = []

    def make() -> Iterator[Stage]:
        while True:
            made.append(Stage(kubectl, api, proxy))
            yield made[-1]

    yield make()
    for stage in made:
        stage.remove()


@pytest.mark.timeout(900)
def test_rows_01_02_and_03_killed_after_each_write_of_a_creation(
    operator: OperatorProcess, stages: Iterator[Stage], proxy: Proxy, clean: dict[str, Any], record_property: Any
) -> None:
    """The first writes are the Secrets, the last ones the status and its Event.

    Every restart is a resync of all the pipelines before: not one of them may be written again.
    """
    healed: dict[Stage, int] = {}  # and how often each was written until the crash after its healing
    fresh: list[Stage] = []
    for writes, stage in zip(count(1), stages, strict=False):
        crash = CrashAfter(writes, operator.kill)
        with proxy.rule(crash, namespace=stage.name, match=lambda call: call.writes):
            stage.create()
            eventually(lambda: crash.done.is_set() or stage.is_as(clean), f"write {writes}, or the end", seconds=60)  # noqa: B023
            if not crash.done.is_set():
                break
            passwords = stage.passwords()
        healed |= {before: len(before.writes()) for before in fresh}
        operator.start()
        stage.becomes(clean)
        assert passwords.items() <= stage.passwords().items(), f"a password changed after the kill at write {writes}"
        fresh = [stage]
    operator.kill()
    healed |= {before: len(before.writes()) for before in fresh}
    print(f"killed at {len(healed)} points")
    record_property("kill_points", len(healed))
    assert len(healed) > len([key for key in clean if key != "status"]), "at least at each child, and at the status"
    for _ in range(2):
        operator.start()
        eventually(lambda: has_looked_at(operator, len(healed)), "a pass for each", seconds=60)
        operator.kill()
    assert {stage.name: late for stage, until in healed.items() if (late := stage.writes()[until:])} == {}
