"""The shared memory between supervisor and working process."""

from uuid import uuid4

from fibapp.store.claims import Held
from fibworker.observe import MESSAGES, SECONDS, Totals
from fibworker.slots import Counters, Now, Phase, Slot


def test_what_is_written_is_read_by_another_mapping() -> None:
    slot = Slot.create()
    reader = Slot(slot.descriptor)
    assert reader.read() == Now(Phase.STARTING)
    now = Now(Phase.COMPUTING, Held(uuid4(), uuid4()), 12.5)
    slot.write(now)
    assert reader.read() == now
    slot.write(Now(Phase.IDLE))
    assert reader.read() == Now(Phase.IDLE)


def test_counters_add_up() -> None:
    slot = Slot.create()
    for ending, seconds in (("done", 1.5), ("done", 0.5), ("poison", 0.0)):
        slot.count(ending, seconds)
    assert Slot(slot.descriptor).counters() == Counters((2, 0, 0, 0, 1, 0), 2.0)


def test_totals_survive_the_restart_of_a_process() -> None:
    totals = Totals()
    before, seconds = MESSAGES.labels("done")._value.get(), SECONDS._value.get()
    totals.observe("a", Counters((3, 0, 0, 0, 0, 0), 1.0))
    totals.observe("a", Counters((4, 0, 0, 0, 0, 0), 1.5))
    totals.forget("a")
    totals.observe("a", Counters((2, 0, 0, 0, 0, 0), 0.5))
    assert MESSAGES.labels("done")._value.get() - before == 6
    assert SECONDS._value.get() - seconds == 2.0
