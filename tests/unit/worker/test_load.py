"""What a working process tells of its load."""

import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from fibworker import load


@pytest.fixture
def consumer() -> Any:
    """What the step needs of Celery's consumer."""
    return SimpleNamespace(timer=MagicMock(), event_dispatcher=MagicMock(), pool=SimpleNamespace(num_processes=1), steps=[])


def tick(consumer: Any) -> None:
    """Do what the timer would do."""
    _, function, arguments = consumer.timer.call_repeatedly.call_args.args
    function(*arguments)


@pytest.mark.parametrize(("wall", "cpu", "percent"), [(5.0, 5.0, 100.0), (5.0, 0.5, 10.0), (4.0, 0.0, 0.0), (0.0, 0.0, 0.0)])
def test_cpu_is_the_share_of_a_core_since_the_last_look(monkeypatch: pytest.MonkeyPatch, wall: float, cpu: float, percent: float) -> None:
    clocks = {"monotonic": iter([100.0, 110.0, 110.0 + wall]), "process_time": iter([7.0, 8.0, 8.0 + cpu])}
    for name, readings in clocks.items():
        monkeypatch.setattr(load.time, name, lambda readings=readings: next(readings))
    meter = load.Meter()
    assert meter.cpu() == pytest.approx(10.0)
    assert meter.cpu() == pytest.approx(percent)


def test_memory_is_what_this_process_holds() -> None:
    before = load.memory()
    held = bytearray(b"x") * (64 * 2**20)
    assert load.memory() - before > 60 * 2**20
    assert held


def test_it_is_told_every_five_seconds_while_connected(consumer: Any) -> None:
    before = time.time()
    step = load.LoadStep(consumer)
    consumer.event_dispatcher.send.assert_not_called()
    step.start(consumer)
    assert consumer.timer.call_repeatedly.call_args.args[0] == 5.0
    tick(consumer)
    (kind,), fields = consumer.event_dispatcher.send.call_args
    assert kind == "worker-load"
    assert set(fields) == {"cpu", "memory", "started", "processes"}
    assert fields["cpu"] >= 0
    assert fields["memory"] > 2**20
    assert before <= fields["started"] <= time.time()
    assert fields["processes"] == 1


def test_a_lost_connection_ends_it_and_the_next_begins_it_anew(consumer: Any) -> None:
    step = load.LoadStep(consumer)
    step.start(consumer)
    tick(consumer)
    step.stop(consumer)
    consumer.timer.cancel.assert_called_once_with(consumer.timer.call_repeatedly.return_value)
    step.stop(consumer)
    consumer.timer.cancel.assert_called_once()
    first = consumer.event_dispatcher.send.call_args.kwargs["started"]
    step.start(consumer)
    tick(consumer)
    assert consumer.timer.call_repeatedly.call_count == 2
    assert consumer.event_dispatcher.send.call_args.kwargs["started"] == first, "the process is still the same"
