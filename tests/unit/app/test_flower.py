"""Flower's two more tabs: what is counted and kept, and what they need of Flower's own files."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flower
import pytest

from fibapp.flower.history import COUNTED, FRESH_SECONDS, KEPT, PERIOD_SECONDS, Depth, History, Row, percentile, silent
from fibapp.flower.pages import HERE, UPLOT, Templates, with_tabs

FLOWER = Path(flower.__file__).parent


def succeeded(runtime: float) -> dict[str, Any]:
    return {"type": "task-succeeded", "hostname": "worker@a", "runtime": runtime}


def load(name: str, at: float, **figures: float) -> dict[str, Any]:
    told = {"cpu": 50.0, "memory": 1e8, "started": 10.0, "processes": 1, **figures}
    return {"type": "worker-load", "hostname": name, "local_received": at, **told}


def worker(name: str, *, alive: bool = True, active: int | None = 0) -> SimpleNamespace:
    return SimpleNamespace(hostname=name, alive=alive, active=active)


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ({}, 0.5, None),
        ({2.0: 1}, 0.5, 2.0),
        ({2.0: 1}, 0.95, 2.0),
        ({1.0: 1, 2.0: 1}, 0.5, 1.0),
        ({3.0: 1, 1.0: 1, 2.0: 1}, 0.5, 2.0),
        ({1.0: 95, 9.0: 5}, 0.95, 1.0),
        ({1.0: 94, 9.0: 6}, 0.95, 9.0),
    ],
)
def test_percentile(counts: dict[float, int], share: float, value: float | None) -> None:
    assert percentile(counts, share) == value


def test_rates_are_of_the_time_that_really_went_by() -> None:
    history = History(now=100.0)
    for _ in range(20):
        history.observe(succeeded(0.1))
    history.observe({"type": "task-failed", "hostname": "worker@a"})
    history.sample(110.0, [], None)
    history.sample(120.0, [], None)
    first, second = history.samples
    assert (first.succeeded, first.failed, first.received) == (2.0, 0.1, 0.0)
    assert (second.succeeded, second.failed) == (0.0, 0.0)
    assert history.totals == dict.fromkeys(COUNTED, 0) | {"succeeded": 20, "failed": 1}


def test_durations_are_of_one_interval_and_absent_without_tasks() -> None:
    history = History(now=0.0)
    for runtime in (1.0, 2.0, 3.0):
        history.observe(succeeded(runtime))
    history.sample(5.0, [], None)
    history.sample(10.0, [], None)
    assert [(sample.p50, sample.p95) for sample in history.samples] == [(2.0, 3.0), (None, None)]


def test_many_different_durations_take_little_room() -> None:
    history = History(now=0.0)
    for step in range(100_000):
        history.observe(succeeded(1.0 + step / 100_000))
    assert len(history._runtimes) <= 101
    history.sample(5.0, [], None)
    assert history.samples[0].p50 == pytest.approx(1.5, rel=0.01)


def test_three_hours_are_kept_and_no_more() -> None:
    assert KEPT * PERIOD_SECONDS == 3 * 3600
    history = History(now=0.0, kept=3)
    for step in range(1, 6):
        history.sample(5.0 * step, [], None)
    assert [sample.time for sample in history.samples] == [15.0, 20.0, 25.0]


def test_only_newer_samples_are_given_by_column() -> None:
    history = History(now=1_795_475_000.0)
    history.sample(1_795_475_005.25, [], None)
    history.sample(1_795_475_010.25, [Row("worker@a", True, 1, 0, 0, 1, 0.0, 33.33333, 1e8)], Depth(7, 1))
    columns = history.after(1_795_475_005.25)
    assert columns["time"] == [1_795_475_010.25]
    assert (columns["ready"], columns["unacked"], columns["online"], columns["busy"]) == ([7], [1], [1], [1])
    assert columns["cpu_mean"] == [33.33]
    assert history.after(0.0)["ready"] == [None, 7]


def test_load_is_over_the_workers_that_told_theirs() -> None:
    history = History(now=0.0)
    rows = [
        Row("worker@a", True, 3, 0, 0, 1, 0.0, 100.0, 4e8),
        Row("worker@b", True, 1, 0, 0, 2, 0.0, 50.0, 2e8),
        Row("worker@c", True, 0, 0, 0),
        Row("worker@d", False, 0, 0, 0),
    ]
    history.sample(5.0, rows, None)
    [sample] = history.samples
    assert (sample.online, sample.busy) == (3, 2), "a process has one task in hand; what waits behind it does not run"
    assert (sample.cpu_mean, sample.cpu_highest) == (75.0, 100.0)
    assert (sample.memory_mean, sample.memory_highest) == (3e8, 4e8)


def test_while_the_broker_is_away_nothing_is_claimed_to_be_zero() -> None:
    history = History(now=0.0)
    history.sample(5.0, [Row("worker@a", False, 0, 0, 0)], None, listening=False)
    assert set(history.samples[0]._asdict().items()) == {("time", 5.0)} | {(name, None) for name in history.samples[0]._fields[1:]}


@pytest.mark.parametrize(
    ("alive", "age", "shown"),
    [(True, 0.0, True), (True, FRESH_SECONDS, True), (True, FRESH_SECONDS + 1, False), (False, 0.0, False)],
)
def test_a_row_shows_load_only_while_it_is_fresh(alive: bool, age: float, shown: bool) -> None:
    history = History(now=0.0)
    history.observe(load("worker@a", 100.0, cpu=42.0, processes=2))
    [row] = history.rows([worker("worker@a", alive=alive, active=1)], {"worker@a": {"task-succeeded": 5, "task-failed": 1}}, 100.0 + age)
    figures = (row.cpu, row.memory, row.started, row.processes)
    assert figures == ((42.0, 1e8, 10.0, 2) if shown else (None, None, None, None))
    assert (row.online, row.running, row.succeeded, row.failed) == (alive, 1 if alive else 0, 5, 1)


def test_workers_that_are_gone_are_forgotten() -> None:
    history = History(now=0.0)
    for name in ("worker@b", "worker@a", "worker@gone"):
        history.observe(load(name, 100.0))
    rows = history.rows([worker("worker@b"), worker("worker@a", active=None)], {}, 100.0)
    assert [row.name for row in rows] == ["worker@a", "worker@b"]
    assert set(history.loads) == {"worker@a", "worker@b"}


@pytest.mark.parametrize(
    ("since", "gone"),
    [(None, set()), (150.0, set()), (80.0, {"worker@old", "worker@left", "gen@api"})],
    ids=["broker away", "just back", "listening for long"],
)
def test_silence_counts_only_while_we_listen(since: float | None, gone: set[str]) -> None:
    workers = {
        "worker@new": SimpleNamespace(heartbeats=[195.0, 199.0]),
        "worker@old": SimpleNamespace(heartbeats=[70.0, 75.0]),
        "worker@left": SimpleNamespace(heartbeats=[], timestamp=75.0),
        "worker@leaves": SimpleNamespace(heartbeats=[], timestamp=190.0),
    }
    assert silent({*workers, "gen@api"}, workers, since, 120.0, 200.0) == gone


def test_events_of_no_interest_count_nothing() -> None:
    history = History(now=0.0)
    for kind in ("worker-heartbeat", "worker-online", "task-revoked", "task-rejected"):
        history.observe({"type": kind, "hostname": "worker@a"})
    assert sum(history.totals.values()) == 0


def test_the_navigation_bar_gets_both_tabs_around_flowers_own() -> None:
    navbar = with_tabs((FLOWER / "templates/navbar.html").read_text())
    places = [navbar.index(f">{title}</a>") for title in ("Overview", "Workers", "Tasks", "Broker", "Monitor")]
    assert places == sorted(places)
    assert navbar.index(">Monitor</a>") < navbar.index("app-nav-secondary")


@pytest.mark.parametrize("text", ["<nav></nav>", '<ul class="app-nav navbar-nav"><li>'])
def test_another_navigation_bar_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="another form"):
        with_tabs(text)


@pytest.mark.parametrize("name", ["overview.html", "monitor.html", "navbar.html", "workers.html", "tasks.html", "broker.html"])
def test_templates_compile_ours_and_flowers(name: str) -> None:
    assert Templates(str(FLOWER / "templates")).load(name)


@pytest.mark.parametrize("template", sorted((HERE / "templates").iterdir()), ids=lambda path: path.name)
def test_our_templates_refer_to_no_other_origin_and_run_no_inline_code(template: Path) -> None:
    assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//|\son\w+=|<script>|style=|javascript:", template.read_text())


def test_the_files_that_the_pages_name_are_there() -> None:
    assert {path.name for path in (HERE / "static").iterdir()} == {"monitor.css", "monitor.js"}
    assert (UPLOT / "uPlot.iife.min.js").is_file()
