"""The expected cost of a job: learned from finished ones, with a sane start."""

from typing import Any

import pytest

from fibapp.costs import ENOUGH, OVERHEAD_SECONDS, START, Costs, Measured, learn
from fibapp.jobs import Algorithm


@pytest.mark.parametrize(
    ("algorithm", "n", "seconds"),
    [
        ("recursive", 0, 0.0),
        ("recursive", 20, 0.75e-3),
        ("recursive", 30, 91.6e-3),
        ("recursive", 35, 1.028),
        ("recursive", 40, 11.4),
        ("fast", 0, 0.0),
        ("fast", 100_000, 0.53e-3),
        ("fast", 1_000_000, 15.4e-3),
        ("fast", 10_000_000, 261e-3),
    ],
)
def test_the_start_is_near_what_was_measured_on_one_machine(algorithm: Algorithm, n: int, seconds: float) -> None:
    assert Costs().seconds(algorithm, n) == pytest.approx(seconds + OVERHEAD_SECONDS, rel=0.25)


def measured(factor: float, algorithm: Algorithm = "recursive", ns: range = range(25, 36)) -> list[Measured]:
    """Jobs on a machine that is `factor` times as slow as the one of the start values."""
    return [Measured(algorithm, n, factor * (Costs().seconds(algorithm, n) - OVERHEAD_SECONDS)) for n in ns]


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(("algorithm", "ns"), [("recursive", range(25, 36)), ("fast", range(500_000, 5_000_000, 500_000))])
def test_one_coefficient_fits_every_n(algorithm: Algorithm, ns: range, factor: float) -> None:
    costs = learn(measured(factor, algorithm, ns))
    for n in (10, 30, 45):
        assert costs.seconds(algorithm, n) == pytest.approx(OVERHEAD_SECONDS + factor * (Costs().seconds(algorithm, n) - OVERHEAD_SECONDS))
    other: Algorithm = "fast" if algorithm == "recursive" else "recursive"
    assert costs.seconds(other, 30) == Costs().seconds(other, 30), "the other algorithm learns nothing from it"


def test_some_disturbed_jobs_do_not_count() -> None:
    disturbed = [Measured("recursive", 30, 100.0), Measured("recursive", 35, 0.002)]
    assert learn(measured(2.0) + disturbed * 2).recursive.value == pytest.approx(2 * START["recursive"])


@pytest.mark.parametrize(("jobs", "known"), [(0, 0), (ENOUGH - 1, 0), (ENOUGH, ENOUGH)])
def test_a_few_jobs_prove_nothing(jobs: int, known: int) -> None:
    costs = learn(measured(9.0)[:jobs])
    assert costs.recursive.measured == known
    assert (costs.recursive.value == START["recursive"]) is (known == 0)


def test_the_document_is_enough_to_know_any_cost() -> None:
    costs = learn(measured(2.0))
    said: dict[str, Any] = costs.document()
    recursive, fast = said["recursive"], said["fast"]
    assert said["overhead_seconds"] + recursive["coefficient"] * recursive["base"] ** 33 == pytest.approx(costs.seconds("recursive", 33))
    assert said["overhead_seconds"] + fast["coefficient"] * 777_777 ** fast["exponent"] == pytest.approx(costs.seconds("fast", 777_777))
    assert (recursive["measured"], fast["measured"]) == (11, 0)


def test_the_n_of_about_a_second() -> None:
    costs = Costs()
    n = costs.recursive_n(1.0, 40)
    assert 0.75 < costs.seconds("recursive", n) < 1.35
    assert costs.recursive_n(1.0, 10) == 10, "never beyond the bound"
    assert costs.recursive_n(1.0, 0) == 0
