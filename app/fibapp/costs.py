"""What a job costs before it ran: one coefficient an algorithm, learned from the jobs that finished lately. Pure.

The shape of each curve is known (the recursion makes 1.618 times as many calls with each n, doubling spends its time on the multiplication
and conversion of long numbers), so a single number is left to learn: how fast the workers of this pipeline are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from statistics import median

from fibapp.jobs import Algorithm

RECURSIVE_BASE = (1 + 5**0.5) / 2
FAST_EXPONENT = 1.3
"""Between 1.46 (from 10^5 to 10^6) and 1.23 (from 10^6 to 10^7), measured with gmpy2."""
OVERHEAD_SECONDS = 0.001
"""What any job costs beside computing: to be fetched, claimed, stored and acknowledged."""

START: dict[Algorithm, float] = {"recursive": 5.0e-8, "fast": 2.4e-10}
"""The coefficients of a 2 GHz machine (n=35 in 1.03 s, n=10^6 in 15 ms), until the pipeline knows its own."""
ENOUGH = 3
"""So many measured jobs outweigh the start value: with three, one that was disturbed does no harm."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A finished job and the seconds it took to compute."""

    algorithm: Algorithm
    n: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Coefficient:
    """Seconds for one unit of work, and how many jobs it was learned from (0: not yet, the start value)."""

    value: float
    measured: int = 0


@dataclass(frozen=True, slots=True)
class Costs:
    """The expected cost of every job."""

    recursive: Coefficient = Coefficient(START["recursive"])
    fast: Coefficient = Coefficient(START["fast"])

    def seconds(self, algorithm: Algorithm, n: int) -> float:
        """How long one worker process is expected to take for F(n)."""
        coefficient = self.recursive if algorithm == "recursive" else self.fast
        return OVERHEAD_SECONDS + coefficient.value * units(algorithm, n)

    def measured(self, algorithm: Algorithm) -> int:
        """How many finished jobs the cost of `algorithm` was learned from."""
        return (self.recursive if algorithm == "recursive" else self.fast).measured

    def recursive_n(self, seconds: float, largest: int) -> int:
        """The n up to `largest` whose recursion takes about `seconds`."""
        return min(range(largest + 1), key=lambda n: abs(log(self.seconds("recursive", n) / seconds)))

    def document(self) -> dict[str, dict[str, float | int] | float]:
        """The formulas, for a page that shows the cost of any n before it is submitted."""
        return {
            "overhead_seconds": OVERHEAD_SECONDS,
            "recursive": {"coefficient": self.recursive.value, "base": RECURSIVE_BASE, "measured": self.recursive.measured},
            "fast": {"coefficient": self.fast.value, "exponent": FAST_EXPONENT, "measured": self.fast.measured},
        }


def units(algorithm: Algorithm, n: int) -> float:
    """The work for F(n), in units of the algorithm's own."""
    return RECURSIVE_BASE**n if algorithm == "recursive" else float(n**FAST_EXPONENT)


def learn(jobs: Sequence[Measured]) -> Costs:
    """The costs that explain `jobs` best: the median of what each says, so that single disturbed ones do not count."""
    return Costs(recursive=_coefficient("recursive", jobs), fast=_coefficient("fast", jobs))


def _coefficient(algorithm: Algorithm, jobs: Sequence[Measured]) -> Coefficient:
    said = [job.seconds / units(algorithm, job.n) for job in jobs if job.algorithm == algorithm and job.n > 0]
    return Coefficient(median(said), len(said)) if len(said) >= ENOUGH else Coefficient(START[algorithm])
