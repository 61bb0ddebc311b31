"""Figures in words."""

import pytest

from fibapp.words import clock, desk, number, plural, span


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0, "< 0.1 ms"),
        (0.00042, "0.4 ms"),
        (0.0092, "9.2 ms"),
        (0.00996, "10 ms"),
        (0.0919, "92 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (1.14, "1.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3599.9, "1 h"),
        (7500, "2 h 5 min"),
        (86400, "1 d"),
        (90000, "1 d 1 h"),
        (8.64e9, "100,000 d"),
    ],
)
def test_a_length_of_time(seconds: float | None, words: str) -> None:
    assert span(seconds) == words


def test_counts_and_rates() -> None:
    assert [number(value) for value in (0, 7, 12345, 0.24, 2.0, 9.96, 1234.5)] == ["0", "7", "12,345", "0.2", "2", "10", "1,234"]
    assert [plural(value, "job") for value in (0, 1, 2000)] == ["0 jobs", "1 job", "2,000 jobs"]
    assert clock("2026-01-02T03:04:05.678Z") == "03:04:05"


@pytest.mark.parametrize(
    ("node", "short"),
    [
        ("worker@demo-worker-6d4b8-xk2lp", "6d4b8-xk2lp"),
        ("worker-2@demo-worker-6d4b8-xk2lp", "6d4b8-xk2lp #2"),
        ("worker@pod-3", "pod-3"),
        ("strange", "strange"),
    ],
)
def test_a_worker_is_named_by_what_differs(node: str, short: str) -> None:
    assert desk(node, "demo") == short
