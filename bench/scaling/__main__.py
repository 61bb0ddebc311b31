"""`python -m bench.scaling`: bursts, mixes and scale-in on the lab, with the backlog rule and by other rules, taking turns.

Needs a running lab with the project's images (`make bench-scaling` sees to that). The workers are held to 0.1 of a core, so that ten
of them do not want more than a small machine has. CPU alone is the same pipeline with a target so long that no queue ever wants a worker.
"""

import argparse
import sys
from pathlib import Path
from statistics import median

from bench.chart import panels
from bench.processes import BenchError
from bench.scaling.pipeline import installed
from bench.scaling.turns import (
    BACKLOG,
    BRIEF_JOBS,
    BURST_JOBS,
    CPU_ONLY,
    JOBS_A_WORKER,
    LONG_JOBS,
    Run,
    burst,
    mix,
    reaction,
    scale_in,
    warm_up,
)
from bench.table import Row, figure, lower, quantile, render, times
from lab.settings import REPOSITORY

ROUNDS = 2
REACTIONS = 10
PICTURE = REPOSITORY / "docs" / "images" / "scaling.svg"


def reaction_rows(found: list[tuple[float, int]]) -> list[Row]:
    """The table of the bursts that were only begun."""
    took, steps = [took for took, _ in found], max(steps for _, steps in found)
    worst = quantile(took, 0.95)
    words = f"{figure(worst)} s (p50 {figure(median(took))} s), {steps} step{'s' * (steps > 1)} at most"
    return [Row("P14", f"burst to all workers asked for, p95 of {len(took)}", words, "", "", "<= 2 s, one step", worst <= 2 and steps == 1)]


def burst_rows(ours: list[Run], cpu: list[Run]) -> list[Row]:
    """The table of the bursts."""
    drained, waits, spent, asked = (
        lower([getattr(run, name) for run in ours], [getattr(run, name) for run in cpu])
        for name in ("drained", "longest_wait", "worker_seconds", "asked")
    )
    interrupted = sum(run.interrupted for run in ours)

    def medians(attribute: str) -> tuple[str, str]:
        mine, theirs = (median(getattr(run, attribute) for run in runs) for runs in (ours, cpu))
        return f"{figure(mine)} s", f"CPU only {figure(theirs)} s"

    return [
        Row("", "the same, by each rule", *medians("asked"), times(asked), "<= 2 s", median(run.asked for run in ours) <= 2),
        Row("", f"{BURST_JOBS} jobs drained", *medians("drained"), times(drained), "<= 0.6x the time", drained >= 1 / 0.6),
        Row("", "longest wait of a job", *medians("longest_wait"), times(waits), "", None),
        Row("", "worker-seconds until rest", *medians("worker_seconds"), times(spent), "", None),
        Row("", "jobs interrupted", str(interrupted), f"CPU only {sum(run.interrupted for run in cpu)}", "", "0", interrupted == 0),
    ]


def mix_rows(ours: tuple[Run, Run], count: tuple[Run, Run]) -> list[Row]:
    """The table of the mix: a crowd of brief jobs, then few long ones."""
    peer = f"{JOBS_A_WORKER} jobs a worker"
    (brief, long), (counted_brief, counted_long) = ours, count
    spent = [sum(run.worker_seconds for run in pair) for pair in (ours, count)]
    return [
        Row("", f"{BRIEF_JOBS} brief jobs: most workers", str(brief.most), f"{peer}: {counted_brief.most}", "", "", None),
        Row(
            "",
            f"{LONG_JOBS} long jobs drained",
            f"{figure(long.drained)} s, {long.most} workers",
            f"{peer}: {figure(counted_long.drained)} s, {counted_long.most} workers",
            times(counted_long.drained / long.drained),
            "",
            None,
        ),
        Row("", "both, worker-seconds until rest", f"{figure(spent[0])} s", f"{figure(spent[1])} s", times(spent[1] / spent[0]), "", None),
    ]


def scale_in_rows(ours: list[Run], alike: list[Run]) -> list[Row]:
    """The table of the scale-in: who had to leave, and what became of the jobs."""

    def counts(runs: list[Run]) -> tuple[int, str]:
        busy = sum(run.stopped_busy for run in runs)
        return busy, f"{busy} of {sum(len(run.left) for run in runs)} ({sum(run.interrupted for run in runs)} interrupted)"

    (busy, mine), (_, theirs) = counts(ours), counts(alike)
    return [Row("", "pods told to leave in the middle of a job", mine, f"all pods alike: {theirs}", "", "0", busy == 0)]


def main() -> int:
    """Measure; print the table and draw the picture of the last burst."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each contender, default {ROUNDS}")
    parser.add_argument("--picture", type=Path, default=PICTURE, help=f"where the chart goes, default {PICTURE.relative_to(REPOSITORY)}")
    arguments = parser.parse_args()
    ours: list[Run] = []
    cpu: list[Run] = []
    first: list[Run] = []
    alike: list[Run] = []
    with installed() as pipeline:
        pipeline.apply(backlogTargetSeconds=BACKLOG)
        n = warm_up(pipeline)
        tell(f"bursts are of F({n}), which takes a worker about a second")
        tell(f"{REACTIONS} beginnings of bursts")
        reactions = [reaction(pipeline) for _ in range(REACTIONS)]
        print(render(reaction_rows(reactions)), flush=True)
        for turn in range(arguments.rounds):
            for name, target, runs in (("backlog", BACKLOG, ours), ("CPU only", CPU_ONLY, cpu)):
                tell(f"burst {turn + 1}, {name}")
                runs.append(burst(pipeline, target, n))
            for name, idle_first, runs in (("idle first", True, first), ("all pods alike", False, alike)):
                tell(f"scale-in {turn + 1}, {name}")
                runs.append(scale_in(pipeline, n, idle_first=idle_first))
        tell("mix, backlog")
        seconds = mix(pipeline, by_count=False)
        tell("mix, by count")
        counted = mix(pipeline, by_count=True)
    draw(arguments.picture, ours[-1], cpu[-1])
    print(render([*reaction_rows(reactions), *burst_rows(ours, cpu), *mix_rows(seconds, counted), *scale_in_rows(first, alike)]))
    return 0


def draw(picture: Path, ours: Run, cpu: Run) -> None:
    """The chart of one burst by each rule."""
    charts = {
        "Workers asked for": {"backlog and CPU": ours.workers, "CPU only": cpu.workers},
        "Jobs queued": {"backlog and CPU": ours.queued, "CPU only": cpu.queued},
    }
    title = f"A burst of {BURST_JOBS} jobs of about one second, a trickle, silence"
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(panels(title, charts), encoding="utf-8")


def tell(turn: str) -> None:
    """Say what goes on: a turn takes minutes."""
    print(f"{turn} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench: {error}")
