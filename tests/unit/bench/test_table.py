"""Medians, ratios and the table."""

from contextlib import nullcontext

import pytest

from bench.cli import main
from bench.table import Row, figure, higher, lower, quantile, render, times


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    # The second round ran on a busy machine: both were slow, the ratio stands.
    assert higher([100, 10, 90], [50, 5, 30]) == 2
    assert lower([1, 10, 3], [5, 50, 21]) == 5


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile([5, 1, 4, 2, 3], 0.5) == 3
    assert quantile([1, 2, 3], 1) == 3
    assert quantile([7], 0.99) == 7


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")]
)
def test_figures_keep_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_a_table_is_aligned_and_shouts_what_is_missed() -> None:
    rows = [
        Row("P8", "short", "1 /s", "peer 2 /s", times(0.5), ">= 2x", False),
        Row("P10", "a longer figure", "10 /s", "", "", "", None),
        Row("P11", "lost", "0", "", "", "0", True),
    ]
    lines = render(rows).splitlines()
    assert len(lines) == 5
    assert lines[2].endswith("NO")
    assert lines[4].endswith("yes")
    assert lines[0].index("ours") == lines[2].index("1 /s") == lines[3].index("10 /s")


def test_an_unknown_benchmark_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["bench.app", "--only", "P8,P99"])
    with pytest.raises(SystemExit):
        main("bench.app", "", {"P8": "bench.p8_submit"}, nullcontext)
    assert "there is no benchmark P99" in capsys.readouterr().err
