"""The promise: every 202 has exactly one final state, the right value, one write. And what was lost where it was not kept."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS = "id, n, state, result, writes, error"
"""What has to be known of a job."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many accepted jobs ended how, and those for which the promise was broken."""

    accepted: int
    done: int
    failed: int
    cancelled: int
    lost: list[str]
    twice: list[str]
    wrong: list[str]

    @property
    def kept(self) -> bool:
        """Was the promise kept for every job?"""
        return not (self.lost or self.twice or self.wrong)

    def figures(self) -> dict[str, int]:
        """The numbers of it."""
        return {
            "accepted": self.accepted,
            "done": self.done,
            "failed with a reason": self.failed,
            "lost": len(self.lost),
            "stored twice": len(self.twice),
            "wrong": len(self.wrong),
        }


def judge(accepted: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Verdict:
    """What became of the jobs `accepted`, by their rows; a job that is not final by now counts as lost."""
    found = {str(row["id"]): row for row in rows}
    lost = [job for job in accepted if job not in found or found[job]["state"] in ("queued", "running")]
    twice = [job for job, row in found.items() if row["writes"] > 1]
    wrong = [job for job, row in found.items() if job not in lost and not _right(row)]
    states = [row["state"] for row in found.values()]
    return Verdict(len(accepted), states.count("done"), states.count("failed"), states.count("cancelled"), lost, twice, wrong)


def _right(row: Mapping[str, Any]) -> bool:
    match row["state"]:
        case "done":
            return bool(row["writes"] >= 1 and row["result"] == fibonacci(row["n"]))
        case "failed":
            return bool(row["writes"] == 0 and row["error"])
        case _:
            return bool(row["state"] == "cancelled" and row["writes"] == 0)


def fibonacci(n: int) -> str:
    """F(n) in decimal, by adding: slow for large n, but plainly right."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return str(a)
    finally:
        sys.set_int_max_str_digits(limit)
