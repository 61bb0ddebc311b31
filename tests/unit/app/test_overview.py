"""What the tiles say of the five parts, and the memory behind rates and charts."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from fibapp.api.history import LENGTH, RATE_SECONDS, History, Point
from fibapp.api.overview import Overview, Seen, resting, tiles
from fibapp.costs import Costs
from fibapp.load import Work, measure
from fibapp.store import StoreAway
from fibapp.store.load import Decision
from fibapp.store.view import Computing, Unpublished

COUNTS = {"queued": 0, "running": 0, "done": 0, "failed": 0, "cancelled": 0, "total": 0}
DECISION = Decision(3, 3, 3, 10, "why", datetime(2026, 1, 2, tzinfo=UTC))


def seen(*work: Work, **more: Any) -> Seen:
    values: dict[str, Any] = {"computing": [], "unpublished": Unpublished(0, 0), "decision": DECISION, "rates": (0.0, 0.0), **more}
    return Seen(counts={**COUNTS, **values.pop("counts", {})}, load=measure(work, Costs()), costs=Costs(), **values)


def computing(worker: str) -> Computing:
    return Computing(worker, UUID(int=1), 35, "recursive", 0.5, 1)


def test_nothing_to_do() -> None:
    found = tiles(seen())
    assert {name: tile.mood for name, tile in found.items()} == dict.fromkeys(("ingest", "process", "store", "interface"), "idle") | {
        "visualize": "plain"
    }
    assert (found["process"].number, found["process"].unit) == ("0", "of 3 workers busy")


def test_waiting_jobs_are_told_in_seconds_of_work() -> None:
    tile = tiles(seen(Work(None, "recursive", 35, 100, 1.0)))["ingest"]
    assert (tile.number, tile.mood) == ("100", "active")
    assert "of work for one worker process" in tile.words


def test_jobs_that_cannot_be_handed_over_are_said_to_be_safe() -> None:
    waiting = Work(None, "recursive", 5, 4, 9.0)
    assert tiles(seen(waiting, unpublished=Unpublished(4, 0.5)))["ingest"].mood == "active", "a moment is normal"
    tile = tiles(seen(waiting, unpublished=Unpublished(4, 9.0)))["ingest"]
    assert tile.mood == "warn"
    assert "4 jobs not handed over yet: kept in the store" in tile.words


def test_busy_workers_are_pods_not_processes() -> None:
    held = [computing(node) for node in ("worker@a", "worker-2@a", "worker@b")]
    view = seen(*(Work(each.worker, "recursive", 35, 1, 0.5) for each in held), computing=held)
    tile = tiles(view)["process"]
    assert (tile.number, tile.unit, tile.mood) == ("2", "of 3 workers busy", "active")
    assert resting(view) == 1


def test_without_the_operators_word_no_worker_is_invented() -> None:
    view = seen(decision=None, computing=[computing("worker@a")])
    assert (tiles(view)["process"].unit, resting(view)) == ("busy", 0)


@pytest.mark.parametrize(("waited", "mood"), [(3.0, "idle"), (60.0, "warn")])
def test_a_queue_that_nobody_takes_from(waited: float, mood: str) -> None:
    assert tiles(seen(Work(None, "recursive", 5, 4, waited)))["process"].mood == mood


def test_store_and_interface_tell_their_rates() -> None:
    found = tiles(seen(rates=(12.0, 3.5), counts={"done": 7, "failed": 2, "total": 1200}))
    assert (found["store"].number, found["store"].words) == ("7", "Each stored once. 3.5 results/s. 2 jobs failed.")
    assert (found["interface"].number, found["interface"].words) == ("12", "1,200 accepted in all.")
    assert tiles(seen(rates=None))["interface"].number == "-", "a rate needs two looks"


def point(at: float, done: int = 0, total: int = 0) -> Point:
    return Point(at, 0, 0, done, total)


def test_rates_are_taken_over_the_last_seconds() -> None:
    history = History()
    assert history.rates() is None
    history.add(point(0, 0, 0))
    history.add(point(0.5, 9, 9))
    assert history.rates() is None, "too short to tell"
    for second in range(1, 60):
        history.add(point(second, 100 + 2 * second, 200 + 4 * second))
    assert history.rates() == (4.0, 2.0)
    assert RATE_SECONDS < 59, "the jump at the beginning is forgotten"


def test_the_memory_is_bounded_and_spaced() -> None:
    history = History()
    for second in range(5000):
        history.add(point(second))
    points = history.document()
    assert len(points) == LENGTH
    assert {later["at"] - earlier["at"] for earlier, later in pairwise(points)} == {2}


class Away:
    """A store that does not answer, and counts how often it was asked."""

    asked = 0

    def counts(self) -> dict[str, int]:
        self.asked += 1
        raise StoreAway("away")


class Assumed:
    """Costs that nobody learned."""

    def costs(self) -> Costs:
        return Costs()


def test_a_store_that_is_away_is_asked_once_for_all_who_come() -> None:
    away = Away()
    overview = Overview(away, None, None, None, Assumed())  # type: ignore[arg-type]
    for _ in range(5):
        with pytest.raises(StoreAway):
            overview.see()
    assert away.asked == 1, "else every thread of the API would wait for it, one after another"
    assert overview.costs() == Costs()
