"""The chart, and the arithmetic of the scaling benchmark."""

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.chart import panels
from bench.scaling.__main__ import burst_rows, mix_rows, scale_in_rows
from bench.scaling.turns import Counting, Run, area, computed_at

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_chart_is_a_picture_with_a_curve_for_each_series() -> None:
    step = [(0.0, 3.0), (2.0, 10.0), (40.0, 3.0)]
    root = ElementTree.fromstring(panels("A & B", {"Workers": {"ours": step, "other": step}, "Queue": {"ours": step}}))  # noqa: S314 - our own
    curves = [path for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("fill") == "none"]
    assert len(curves) == 3
    assert curves[0].get("d", "").count("V") == 2, "steps, not slopes"
    assert "A & B" in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_worker_seconds_are_the_area_under_the_steps() -> None:
    assert area([(0, 3), (2, 10), (12, 3), (20, 3)]) == 6 + 100 + 24


def test_a_goal_that_is_missed_is_shown_as_missed() -> None:
    fast = Run(workers=[(0, 3), (1, 10), (30, 3)], drained=30, asked=1, longest_wait=29)
    slow = Run(workers=[(0, 3), (20, 10), (90, 3)], drained=80, asked=40, longest_wait=79, interrupted=1)
    assert [row.met for row in burst_rows([fast], [slow])] == [True, True, None, None, True]
    assert [row.met for row in burst_rows([slow], [fast])] == [False, False, None, None, False]


def test_the_mix_shows_workers_for_nothing_and_too_few_for_much() -> None:
    ours = Run(workers=[(0, 3), (6, 3)]), Run(workers=[(0, 3), (1, 8), (41, 3)], drained=30)
    count = Run(workers=[(0, 3), (1, 10), (41, 3)]), Run(workers=[(0, 3), (80, 3)], drained=75)
    crowd, long, spent = mix_rows(ours, count)
    assert (crowd.ours, crowd.other) == ("3", "20 jobs a worker: 10")
    assert (long.ours, long.ratio) == ("30.0 s, 8 workers", "2.5x")
    assert spent.ours == "341 s", "6 s of three; 1 s of three and 40 s of eight"


def test_a_pod_that_left_in_the_middle_of_a_job_is_counted() -> None:
    job = {"worker": "worker@demo-1", "started_at": "2026-01-01T11:59:59Z", "finished_at": "2026-01-01T12:00:01Z"}
    assert computed_at(NOON, "demo-1", job)
    assert not computed_at(NOON, "demo-2", job)
    assert not computed_at(NOON.replace(hour=13), "demo-1", job)
    (row,) = scale_in_rows([Run(left={"a": NOON})], [Run(left={"a": NOON, "b": NOON}, stopped_busy=1)])
    assert (row.ours, row.other, row.met) == ("0 of 1 (0 interrupted)", "all pods alike: 1 of 2 (0 interrupted)", True)


class Scaled:
    """Keeps what it is scaled to."""

    def __init__(self) -> None:
        self.workers = 3

    def scale(self, workers: int) -> None:
        self.workers = workers


@pytest.mark.parametrize(
    ("looks", "workers"),
    [
        ([(0, 0)], 3),
        ([(0, 61)], 4),
        ([(0, 300)], 10),
        ([(0, 300), (5, 0)], 10),
        ([(0, 300), *((second, 0) for second in range(1, 40))], 3),
    ],
)
def test_a_scaler_by_count_goes_up_at_once_and_down_after_calm(looks: list[tuple[float, int]], workers: int) -> None:
    scaled: Any = Scaled()
    counting = Counting(scaled)
    for second, queued in looks:
        counting.decide(second, scaled.workers, {"queued": queued, "running": 0})
    assert scaled.workers == workers
