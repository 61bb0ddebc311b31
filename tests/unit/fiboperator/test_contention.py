"""Repairs that are undone again and again become rarer and are said to be; a single edit is repaired at once."""

import copy
import itertools
from typing import Any

import pytest

from fiboperator import names
from fiboperator.contention import (
    DELETED,
    EDITED,
    FREE_REPAIRS,
    PAUSE_CAP_SECONDS,
    UNDONE_SECONDS,
    Contention,
    cause,
    difference,
    writer,
)
from tests.unit.fiboperator.world import KEY, World

Object = dict[str, Any]


def child(replicas: int = 2, stamp: str = "1") -> Object:
    metadata = {"name": "demo-api", "namespace": KEY[0], "annotations": {names.APPLIED: stamp}}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}


class Fight:
    """Somebody who undoes each repair at once, for as long as it lasts."""

    def __init__(self) -> None:
        self.now = 0.0
        self.contention = Contention(lambda: self.now)
        self.contention.repaired(KEY, child(), EDITED, child())

    def repairs(self, seconds: float, how: str = EDITED) -> list[float]:
        """The times of the repairs in that many seconds."""
        done, end = [], self.now + seconds
        while self.now < end:
            self.now += 1.0
            if self.contention.is_due(KEY, child(), how):
                self.contention.repaired(KEY, child(), how, child())
                done.append(self.now)
        return done


@pytest.mark.parametrize("how", [EDITED, DELETED])
def test_the_first_repairs_come_at_once_and_then_ever_more_rarely(how: str) -> None:
    fight = Fight()
    times = fight.repairs(3600, how)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[: FREE_REPAIRS - 1] == [1.0] * (FREE_REPAIRS - 1)
    assert gaps[FREE_REPAIRS:] == sorted(gaps[FREE_REPAIRS:])
    assert max(gaps) == PAUSE_CAP_SECONDS
    assert len(times) < 25, "in an hour"


def test_edits_that_are_minutes_apart_are_each_repaired_at_once() -> None:
    fight = Fight()
    for _ in range(20):
        fight.now += UNDONE_SECONDS + 1
        assert fight.contention.is_due(KEY, child(), EDITED)
        fight.contention.repaired(KEY, child(), EDITED, child())
        assert fight.contention.settle(KEY, set()) is None


def test_a_decision_of_our_own_is_no_repair() -> None:
    fight = Fight()
    for number in range(50):
        wanted = child(stamp=str(number))
        assert fight.contention.is_due(KEY, wanted, EDITED)
        fight.contention.repaired(KEY, wanted, EDITED, wanted)
    assert fight.contention.settle(KEY, set()) is None


def test_what_an_admission_webhook_changes_at_once_is_nobodys_undoing() -> None:
    fight = Fight()
    for _ in range(50):
        fight.contention.repaired(KEY, child(), EDITED, child(replicas=9))
    assert fight.contention.settle(KEY, set()) is None


def test_it_ends_when_the_other_writer_stops() -> None:
    fight = Fight()
    fight.repairs(200)
    contest = fight.contention.settle(KEY, set())
    assert contest is not None and contest.problem.reason == "Contested"
    fight.now += contest.retry
    while contest := fight.contention.settle(KEY, set()):
        fight.now += contest.retry
    assert fight.now < 200 + 2 * PAUSE_CAP_SECONDS
    assert fight.contention.is_due(KEY, child(), EDITED)


def test_the_other_writer_is_named_by_the_managed_fields() -> None:
    live = child(replicas=9)
    live["metadata"]["managedFields"] = [
        {"manager": "kubectl-edit", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kyverno", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kube-controller-manager", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:status": {}}},
    ]
    assert difference(child(), live) == ("spec", "replicas")
    assert writer(live, ("spec", "replicas")) == "kyverno"
    assert cause(child(), live) == "spec.replicas is set again and again by kyverno"
    live["metadata"]["managedFields"] = [{"manager": names.MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
    assert "another operator that holds no Lease" in cause(child(), live)
    assert "deletes it" in cause(child(), None)


async def test_a_pass_tells_of_the_fight_and_writes_no_more_for_a_while() -> None:
    world = World()
    await world.reconcile()

    def undo() -> None:
        edited = world.cluster.objects["Deployment", "demo-api"]
        edited["spec"]["replicas"] = 7
        edited["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
        entry = {"manager": "kyverno", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        edited["metadata"]["managedFields"] = [entry]
        world.watch()

    for _ in range(FREE_REPAIRS + 1):
        undo()
        await world.reconcile()
        assert "apply Deployment demo-api" in world.cluster.written
    for _ in range(20):
        undo()
        delay = await world.reconcile()
        assert "apply Deployment demo-api" not in world.cluster.written
        assert delay is not None and delay <= 10.0
    told = copy.deepcopy(world.condition())
    assert (told["status"], told["reason"]) == ("False", "Contested")
    assert "Deployment demo-api is changed by two: spec.replicas is set again and again by kyverno." in told["message"]
    world.cluster.objects["Service", "demo-api"]["spec"]["selector"] = {"x": "y"}
    world.cluster.objects["Service", "demo-api"]["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["apply Service demo-api"], "everything else is repaired as ever"
