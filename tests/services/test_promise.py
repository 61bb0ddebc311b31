"""The judge of all these tests sees what it has to see."""

from typing import Any

import pytest

from tests.services.promise import judge


def row(state: str, **more: Any) -> dict[str, Any]:
    return {"id": "a", "n": 10, "state": state, "result": None, "writes": 0, "error": None, **more}


DONE = row("done", result="55", writes=1)


@pytest.mark.parametrize("kept", [DONE, row("failed", error="crashed 3 times"), row("cancelled")])
def test_a_promise_kept(kept: dict[str, Any]) -> None:
    assert judge(["a"], [kept]).kept


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([], "lost"),
        ([row("queued")], "lost"),
        ([row("running")], "lost"),
        ([{**DONE, "writes": 2}], "twice"),
        ([{**DONE, "writes": 0}], "wrong"),
        ([{**DONE, "result": "54"}], "wrong"),
        ([row("failed", error="")], "wrong"),
        ([row("failed", error="why", writes=1)], "wrong"),
        ([row("cancelled", writes=1)], "wrong"),
    ],
)
def test_a_promise_broken(rows: list[dict[str, Any]], broken: str) -> None:
    verdict = judge(["a"], rows)
    assert not verdict.kept
    assert {name: getattr(verdict, name) for name in ("lost", "twice", "wrong")} == {"lost": [], "twice": [], "wrong": [], broken: ["a"]}
