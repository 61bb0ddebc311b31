"""The chart, and the arithmetic of the scaling benchmark."""

from xml.etree import ElementTree

from bench.chart import panels
from bench.scaling import Run, area, rows


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
    assert [row.met for row in rows([fast], [slow])] == [True, True, None, None, True]
    assert [row.met for row in rows([slow], [fast])] == [False, False, None, None, False]
