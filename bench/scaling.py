"""`python -m bench.scaling`: a burst, a trickle and silence on the lab, with the backlog rule and by CPU alone, taking turns.

Needs a running lab with the project's images (`make bench-scaling` sees to that). The workers are held to 0.15 of a core, so that ten
of them do not want more than a small machine has. CPU alone is the same pipeline with a target so long that no queue ever wants a worker.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.chart import panels
from bench.processes import BenchError
from bench.table import Row, figure, lower, render, times
from lab.services import free_port
from lab.settings import REPOSITORY, Settings

NAMESPACE = "bench-scaling"
HOST = f"{NAMESPACE}.localhost"
ROUNDS = 2
JOBS, N, WARM_UP = 300, 31, 20
TRICKLE_JOBS, TRICKLE_SECONDS = 20, 1.0
BACKLOG, CPU_ONLY = 30, 86_400
CALM_SECONDS = 30
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 900
PICTURE = REPOSITORY / "docs" / "scaling.svg"
SPEC: dict[str, Any] = {
    "rabbitmq": {"resources": {"limits": {"cpu": "2"}}},
    "worker": {
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "150m", "memory": "512Mi"}},
        "autoscaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": CALM_SECONDS}}},
    },
    "flower": {"enabled": False},
    "ingress": {"host": HOST},
}


@dataclass
class Run:
    """What was seen of one turn. Times are seconds since the burst was accepted."""

    workers: list[tuple[float, float]] = field(default_factory=list)
    queued: list[tuple[float, float]] = field(default_factory=list)
    drained: float = 0.0
    asked: float = 0.0
    """When the last worker of the highest number was asked for."""
    longest_wait: float = 0.0
    interrupted: int = 0

    @property
    def worker_seconds(self) -> float:
        """Workers that were asked for, summed over the time until the fewest were left again."""
        return area(self.workers)


def area(curve: list[tuple[float, float]]) -> float:
    """The area under a curve of steps."""
    return sum(value * (later - at) for (at, value), (later, _) in pairwise(curve))


class Pipeline:
    """The pipeline under measurement."""

    def __init__(self, proxy: str) -> None:
        self._cluster = httpx.Client(base_url=proxy, timeout=30)
        self._api = httpx.Client(
            base_url=f"http://127.0.0.1:{Settings.from_environment().ingress_port}", headers={"Host": HOST}, timeout=30
        )

    def apply(self, target: int) -> None:
        """Apply it with that backlog target, and wait until it is ready and rests at its fewest workers."""
        autoscaling = {**SPEC["worker"]["autoscaling"], "backlogTargetSeconds": target}
        spec = {**SPEC, "worker": {**SPEC["worker"], "autoscaling": autoscaling}}
        body = {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "metadata": {"name": "demo"}, "spec": spec}
        kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=json.dumps(body))
        until(lambda: self._ready() and self.rests(), "the pipeline to be ready and at rest")

    def _ready(self) -> bool:
        pipeline = self._object("fibpipeline.io/v1", "fibpipelines", "demo")
        conditions = {each["type"]: each for each in pipeline.get("status", {}).get("conditions", [])}
        ready = conditions.get("Ready", {})
        return bool(ready.get("status") == "True" and ready["observedGeneration"] == pipeline["metadata"]["generation"])

    def rests(self) -> bool:
        """Does it do nothing, with its fewest workers?"""
        stats = self.stats()
        return (self.workers(), stats["queued"], stats["running"]) == (3, 0, 0)

    def workers(self) -> int:
        """How many workers the Deployment wants."""
        return int(self._object("apps/v1", "deployments", "demo-worker")["spec"]["replicas"])

    def sentence(self) -> str:
        """Why."""
        return str(self._object("fibpipeline.io/v1", "fibpipelines", "demo")["status"]["worker"]["reason"])

    def stats(self) -> dict[str, Any]:
        """What /api/stats says."""
        return dict(self._api.get("/api/stats").raise_for_status().json())

    def submit(self, jobs: int) -> None:
        """Post so many equal jobs at once."""
        body = {"jobs": [{"n": N, "algorithm": "recursive"}] * jobs}
        self._api.post("/api/batches", json=body).raise_for_status()

    def latest(self, jobs: int) -> list[dict[str, Any]]:
        """The jobs that were submitted last."""
        found: list[dict[str, Any]] = []
        address = "/api/jobs?limit=200"
        while len(found) < jobs:
            page = self._api.get(address).raise_for_status().json()
            found, address = found + page["jobs"], page["next"]
        return found[:jobs]

    def _object(self, api_version: str, plural: str, name: str) -> dict[str, Any]:
        return dict(self._cluster.get(f"/apis/{api_version}/namespaces/{NAMESPACE}/{plural}/{name}").raise_for_status().json())


def turn(pipeline: Pipeline, target: int) -> Run:
    """One burst with a trickle after it, until the pipeline rests again."""
    pipeline.apply(target)
    run = Run([(0.0, 3.0)], [(0.0, float(JOBS))])
    pipeline.submit(JOBS)
    begun, trickled, told = time.monotonic(), 0, ""
    while True:
        time.sleep(LOOK_SECONDS)
        try:
            workers, queued, said = pipeline.workers(), pipeline.stats()["queued"], pipeline.sentence()
        except httpx.HTTPError:  # a busy machine may miss a probe: look again
            continue
        now = time.monotonic() - begun
        if workers > max(before for _, before in run.workers):
            run.asked = now
        run.workers.append((now, workers))
        run.queued.append((now, queued))
        if said != told:
            print(f"  {now:6.1f} s  {said}", file=sys.stderr)
            told = said
        if trickled < TRICKLE_JOBS and (trickled or queued == 0) and now - run.drained > trickled * TRICKLE_SECONDS:
            run.drained = run.drained or now
            pipeline.submit(1)
            trickled += 1
        elif trickled == TRICKLE_JOBS and workers == 3 and pipeline.rests():
            break
        if now > PATIENCE_SECONDS:
            raise BenchError(f"the pipeline does not come to rest: {said}")
    jobs = pipeline.latest(JOBS + TRICKLE_JOBS)
    burst = jobs[TRICKLE_JOBS:]
    run.drained = max(seconds(job, "finished_at") for job in burst)
    run.longest_wait = max(seconds(job, "started_at") for job in jobs)
    run.interrupted = sum(job["attempts"] > 1 for job in jobs)
    return run


def seconds(job: dict[str, Any], event: str) -> float:
    """From the submission of a job to that event."""
    return (datetime.fromisoformat(job[event]) - datetime.fromisoformat(job["created_at"])).total_seconds()


def rows(ours: list[Run], cpu: list[Run]) -> list[Row]:
    """The table."""
    drained = lower([run.drained for run in ours], [run.drained for run in cpu])
    waits = lower([run.longest_wait for run in ours], [run.longest_wait for run in cpu])
    spent = lower([run.worker_seconds for run in ours], [run.worker_seconds for run in cpu])
    asked = lower([run.asked for run in ours], [run.asked for run in cpu])
    interrupted = sum(run.interrupted for run in ours)

    def medians(attribute: str) -> tuple[str, str]:
        mine, theirs = (median(getattr(run, attribute) for run in runs) for runs in (ours, cpu))
        return f"{figure(mine)} s", f"CPU only {figure(theirs)} s"

    return [
        Row("P14", "burst to all workers asked for", *medians("asked"), times(asked), "<= 2 s", median(run.asked for run in ours) <= 2),
        Row("", f"{JOBS} jobs drained", *medians("drained"), times(drained), "<= 0.6x the time", drained >= 1 / 0.6),
        Row("", "longest wait of a job", *medians("longest_wait"), times(waits), "", None),
        Row("", "worker-seconds until rest", *medians("worker_seconds"), times(spent), "", None),
        Row("", "jobs interrupted", str(interrupted), f"CPU only {sum(run.interrupted for run in cpu)}", "", "0", interrupted == 0),
    ]


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl on the lab; raises BenchError with its words."""
    program = str(Settings.from_environment().bin / "kubectl")
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def until(condition: Any, what: str) -> None:
    """Wait for a condition; while a part is away it does not hold."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if condition():
                return
        except (httpx.HTTPError, KeyError):
            pass
        if time.monotonic() > end:
            raise BenchError(f"waited {PATIENCE_SECONDS} s in vain for {what}")
        time.sleep(0.5)


@contextmanager
def installed() -> Iterator[Pipeline]:
    """The operator of this checkout and a namespace for the pipeline; yields it, not yet applied."""
    kubectl("apply", "-f", str(REPOSITORY / "deploy/install.yaml"))
    kubectl("wait", "crd/fibpipelines.fibpipeline.io", "--for=condition=Established", "--timeout=60s")
    kubectl("-n", "fibpipeline-system", "rollout", "restart", "deployment/fibpipeline-operator")
    kubectl("-n", "fibpipeline-system", "rollout", "status", "deployment/fibpipeline-operator", "--timeout=110s")
    kubectl("create", "namespace", NAMESPACE)
    port = free_port()
    proxy = subprocess.Popen([str(Settings.from_environment().bin / "kubectl"), "proxy", f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        yield Pipeline(f"http://127.0.0.1:{port}")
    finally:
        proxy.terminate()
        proxy.wait()
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def main() -> int:
    """Measure; print the table and draw the picture of the last round."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each contender, default {ROUNDS}")
    parser.add_argument("--picture", type=Path, default=PICTURE, help=f"where the chart goes, default {PICTURE.relative_to(REPOSITORY)}")
    arguments = parser.parse_args()
    ours: list[Run] = []
    cpu: list[Run] = []
    with installed() as pipeline:
        pipeline.apply(BACKLOG)
        pipeline.submit(WARM_UP)  # what a job costs is learned
        until(lambda: pipeline.stats()["done"] == WARM_UP, "the first jobs")
        for number in range(arguments.rounds):
            for name, target, runs in (("backlog", BACKLOG, ours), ("CPU only", CPU_ONLY, cpu)):
                print(f"round {number + 1}, {name} ...", file=sys.stderr, flush=True)
                runs.append(turn(pipeline, target))
    charts = {
        "Workers asked for": {"backlog and CPU": ours[-1].workers, "CPU only": cpu[-1].workers},
        "Jobs queued": {"backlog and CPU": ours[-1].queued, "CPU only": cpu[-1].queued},
    }
    title = f"A burst of {JOBS} jobs of about one second, a trickle, silence"
    arguments.picture.parent.mkdir(exist_ok=True)
    arguments.picture.write_text(panels(title, charts), encoding="utf-8")
    print(render(rows(ours, cpu)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench: {error}")
