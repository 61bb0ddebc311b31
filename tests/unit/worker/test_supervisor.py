"""What the supervisor decides about its processes."""

from uuid import uuid4

import pytest

from fibapp.store.claims import Held
from fibworker.slots import Now, Phase, Slot
from fibworker.supervisor import LEAVE_SECONDS, Child, node_names, overstays


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.IDLE, Phase.CLAIMING, Phase.STORING])
def test_who_computes_nothing_may_stay_a_while_after_the_signal(phase: Phase) -> None:
    assert not overstays(phase, 100.0, 100.0 + LEAVE_SECONDS)
    assert overstays(phase, 100.0, 100.1 + LEAVE_SECONDS)


def test_who_computes_may_finish() -> None:
    assert not overstays(Phase.COMPUTING, 100.0, 1000.0)


def test_a_child_is_seen_in_its_phase_since_it_entered_it() -> None:
    child = Child("worker@test", Slot.create())
    job, other = (Held(uuid4(), uuid4()) for _ in range(2))
    seen = []
    for now, state in enumerate([Now(Phase.STORING, job), Now(Phase.STORING, job), Now(Phase.IDLE), Now(Phase.STORING, other)]):
        child.slot.write(state)
        assert child.look(float(now)) == state
        seen.append(child.seen_since)
    assert seen == [0.0, 0.0, 2.0, 3.0]


def test_node_names_are_unique_in_the_cluster() -> None:
    assert node_names("pod-a", 1) == ["worker@pod-a"]
    assert node_names("pod-a", 3) == ["worker-1@pod-a", "worker-2@pod-a", "worker-3@pod-a"]
