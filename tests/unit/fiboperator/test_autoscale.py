"""The rule of the floor as a table, and the order in which pods leave."""

from typing import Any

import pytest
from pydantic import ValidationError

from fiboperator import autoscale
from fiboperator.autoscale import Load, Reading
from fiboperator.names import DELETION_COST
from fiboperator.spec import Worker, parse
from tests.pipelines import fibpipeline


def worker(concurrency: int = 1, **autoscaling: Any) -> Worker:
    """The seed's sizes: 3-10 workers, the work done within 30 s."""
    return parse(fibpipeline({"worker": {"concurrency": concurrency, "autoscaling": autoscaling}})).spec.worker


def load(queued: int = 0, seconds: float = 0, **busy: float) -> Load:
    """A load; `busy` maps a pod to the seconds that its one job needs still."""
    return Load(
        version="1",
        queued=queued,
        running=len(busy),
        seconds=seconds,
        running_seconds=sum(busy.values()),
        busy={pod: {"jobs": 1, "remaining_seconds": left} for pod, left in busy.items()},  # type: ignore[misc]
    )


@pytest.mark.parametrize("figures", [{"seconds": float("inf")}, {"queued": -1}, {"running_seconds": float("nan")}, {"version": "x" * 201}])
def test_figures_that_no_load_can_have_are_refused(figures: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Load.model_validate({**load().model_dump(), **figures})


TEN = {f"pod{number}": 1.0 for number in range(10)}

TABLE = [
    # what is going on                                    the load                            floor before, after
    ("nothing to do", load(), 3, 3),
    ("as much as the fewest can do in 30 s", load(90, 90), 3, 3),
    ("140 s of work want five workers", load(140, 140), 3, 5),
    ("a burst: 300 jobs of a second want all ten", load(300, 300), 3, 10),
    ("far too much: never more than the spec allows", load(9000, 9000), 3, 10),
    ("ten thousand jobs of 1 ms are 10 s of work", load(10_000, 10), 3, 3),
    ("ten jobs of 100 s want ten workers", load(10, 1000), 3, 10),
    ("four jobs of 100 s can use no more than four", load(4, 400), 3, 4),
    ("one running job of 300 s has its worker already", load(pod=300), 3, 3),
    ("... and ten short ones beside it want no ten workers", load(10, 10, pod=300), 3, 3),
    ("... but 100 s of them want one more", load(100, 100, pod=300), 3, 5),
    # on the way down
    ("a burst half done keeps all its workers", load(150, 150, **TEN), 10, 10),
    ("... and still when little is left", load(30, 30, **TEN), 10, 10),
    ("... until each has less than a tenth of the target", load(19, 19, **TEN), 10, 3),
    ("four long jobs are left: four workers", load(pod1=60, pod2=60, pod3=60, pod4=60), 10, 4),
    ("a few jobs more or less around the threshold move nothing", load(145, 145), 5, 5),
    ("... nor do they when they were above it before", load(125, 125), 5, 5),
    ("nothing left to do", load(), 10, 3),
]


@pytest.mark.parametrize(("case", "now", "before", "after"), TABLE, ids=[row[0] for row in TABLE])
def test_the_floor(case: str, now: Load, before: int, after: int) -> None:
    found = autoscale.floor(Reading(now), worker(), before)
    assert found == after
    assert autoscale.floor(Reading(now), worker(), found) == found, "the same load moves it once"


def test_processes_of_one_pod_share_the_work() -> None:
    assert autoscale.floor(Reading(load(300, 300)), worker(concurrency=2, maxReplicas=20), 3) == 5
    assert autoscale.floor(Reading(load(10, 1000)), worker(concurrency=4), 3) == 3, "ten jobs fill two pods and a half"


def test_a_wider_target_wants_fewer_and_bounds_hold_for_any_load() -> None:
    assert autoscale.floor(Reading(load(140, 140)), worker(backlogTargetSeconds=10), 3) == 10
    assert autoscale.floor(Reading(load(300, 300)), worker(backlogTargetSeconds=60), 3) == 5
    assert autoscale.floor(Reading(load()), worker(minReplicas=5), 3) == 5
    assert autoscale.floor(Reading(load(300, 300)), worker(maxReplicas=6), 10) == 6


def test_a_load_that_is_not_known_yet_changes_nothing_and_one_out_of_reach_falls_back() -> None:
    assert autoscale.floor(Reading(), worker(), 7) == 7, "a restart of the operator is no reason to lower it"
    assert autoscale.floor(Reading(), worker(), None) == 3
    assert autoscale.floor(Reading(away="no answer"), worker(), 7) == 3


def test_the_floor_never_goes_up_and_down_on_noise() -> None:
    present, seen = 3, []
    for seconds in (148, 152, 149, 151, 140, 153, 120, 149):
        present = autoscale.floor(Reading(load(200, seconds)), worker(), present)
        seen.append(present)
    assert seen == [5, 6, 6, 6, 6, 6, 6, 6]


def pod(name: str, mark: str | None = None, **metadata: Any) -> dict[str, Any]:
    annotations = {"annotations": {DELETION_COST: mark}} if mark else {}
    return {"metadata": {"name": name, **annotations, **metadata}}


def test_busy_pods_are_marked_by_what_is_left_and_idle_ones_not() -> None:
    marks = autoscale.deletion_marks([pod("idle"), pod("brief"), pod("short"), pod("long"), pod("gone", deletionTimestamp="now")])
    changes = autoscale.changed_marks(load(brief=1, short=5, long=200, gone=50), marks)
    assert changes == {"short": "101", "long": "104"}
    assert int(changes["long"] or 0) > int(changes["short"] or 0) > 0, "who has most to do leaves last"


def test_a_mark_is_rewritten_only_when_it_matters_and_taken_from_who_became_idle() -> None:
    marks = autoscale.deletion_marks([pod("a", "101"), pod("b", "103"), pod("c", "102")])
    assert autoscale.changed_marks(load(a=3, b=100, c=20), marks) == {}
    assert autoscale.changed_marks(load(a=0, b=90, c=9), marks) == {}, "an overdue job keeps its mark"
    assert autoscale.changed_marks(load(b=100), marks) == {"a": None, "c": None}


@pytest.mark.parametrize(
    ("floor", "wanted", "running", "expected"), [(3, 3, 3, False), (3, 10, 10, True), (5, 5, 8, True), (5, 5, 2, False)]
)
def test_pods_may_have_to_leave_when_more_run_than_the_floor_keeps(floor: int, wanted: int, running: int, expected: bool) -> None:
    pods = [pod(str(number)) for number in range(running)]
    assert autoscale.is_shrinking(floor, {"spec": {"replicas": wanted}}, pods) is expected
