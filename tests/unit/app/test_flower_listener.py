"""How Flower takes in events: in turns with its requests, a bounded number in hand, and none that stops the others."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from fibapp.flower import listener
from tests.waiting import eventually


class Loop:
    """An event loop that runs a callback when it is told to."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> None:
        """To be run later."""
        self.due.append(callback)

    def turn(self) -> None:
        """Run what is due now."""
        due, self.due = self.due, []
        for callback in due:
            callback()


def make(seen: Callable[[dict[str, Any]], Any]) -> tuple[listener.Listener, Loop]:
    """A listener that is not connected to anything."""
    loop = Loop()
    options = {"enable_events": False, "max_workers_in_memory": 10, "max_tasks_in_memory": 10}
    return listener.Listener(Celery(), seen, io_loop=loop, **options), loop


def event(number: int) -> dict[str, Any]:
    fields = {"pid": 1, "clock": number, "timestamp": 1.0, "local_received": 1.0}
    return {"type": "worker-heartbeat", "hostname": f"worker@{number % 3}", "number": number, **fields}


def test_all_are_taken_in_order_and_requests_get_their_turn() -> None:
    seen: list[int] = []
    heard, loop = make(lambda event: seen.append(event["number"]))
    many = 3 * listener.AT_ONCE
    for number in range(many):
        heard.on_event(event(number))
    loop.turn()
    assert len(seen) == listener.AT_ONCE
    while loop.due:
        loop.turn()
    assert seen == list(range(many))
    heard.on_event(event(many))
    loop.turn()
    assert seen[-1] == many, "after a pause it goes on"
    assert set(heard.state.workers) == {"worker@0", "worker@1", "worker@2"}


def test_a_flood_waits_in_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "IN_HAND", 5)
    seen: list[int] = []
    heard, loop = make(lambda event: seen.append(event["number"]))

    def flood() -> None:
        for number in range(12):
            heard.on_event(event(number))

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    eventually(heard._waiting.full, "the hands to be full", 5, 0.001)
    thread.join(0.05)
    assert thread.is_alive(), "it does not read on"

    def all_taken() -> bool:
        loop.turn()
        return len(seen) == 12

    eventually(all_taken, "all to be taken", 5, 0.001)
    assert seen == list(range(12))


def test_an_event_that_cannot_be_understood_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []
    heard, loop = make(lambda event: seen.append(10 // event["number"]))
    for number in (1, 0, 2):
        heard.on_event(event(number))
    loop.turn()
    assert seen == [10, 5]
    assert "an event that cannot be understood" in caplog.text
