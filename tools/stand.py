"""A pipeline of plain processes to take pictures of: real servers, real workers, as many as the operator's own rule asks for."""

import os
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from fiboperator import autoscale, explain
from fiboperator import spec as operator_spec
from fiboperator.autoscale import Load, Reading
from fiboperator.resources.objects import Object
from lab.services import PostgreSQL, RabbitMQ
from tests.pipelines import fibpipeline
from tests.services.pipeline import Pipeline
from tests.services.process import Process

TICK = os.sysconf("SC_CLK_TCK")
CALM_SECONDS = 20.0
"""So long fewer workers must have been enough before some leave; in a cluster that is scaleDown.stabilizationWindowSeconds."""
LOOK_SECONDS = 0.5
# A small machine has no room for the load that the defaults are made for.
SPEC = {"worker": {"autoscaling": {"backlogTargetSeconds": 10}}}
SETTINGS = {
    "FIB_PIPELINE_NAME": "demo",
    "FIB_JOB_TIME_LIMIT_SECONDS": "8",
    # As in a pipeline, not as quick as in tests.
    "FIB_LEASE_SECONDS": "15",
    "FIB_RELAY_HOLD_SECONDS": "10",
    "FIB_RELAY_GRACE_SECONDS": "5",
    "FIB_RELAY_BASE_SECONDS": "30",
    "FIB_RELAY_CAP_SECONDS": "600",
}


class Workers:
    """Stands in for Deployment and HorizontalPodAutoscaler: starts and stops worker processes as the operator's rule says."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._spec = operator_spec.parse(fibpipeline(SPEC))
        self._floor = self._spec.spec.worker.floor
        self._running: list[Process] = []
        self._busy_at = time.monotonic()
        self._cpu = (time.monotonic(), 0.0)
        self._utilisation = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workers")
        self._scale(self._floor)
        for worker in self._running:
            pipeline.serves(worker)

    def __enter__(self) -> "Workers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def __len__(self) -> int:
        return len(self._running)

    def _run(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            load = Load.model_validate(self._pipeline.load())
            worker = self._spec.spec.worker
            self._floor = autoscale.floor(Reading(load), worker, self._floor)
            if load.jobs or self._floor > worker.autoscaling.min_replicas:
                self._busy_at = time.monotonic()
            if self._floor > len(self) or time.monotonic() - self._busy_at > CALM_SECONDS:
                self._scale(self._floor)
            self._measure()
            verdict = explain.explain(self._spec, Reading(load), self._children(), {})
            self._pipeline.decide(
                {
                    "workers": len(self),
                    "floor": self._floor,
                    "min": worker.autoscaling.min_replicas,
                    "max": worker.autoscaling.max_replicas,
                    "sentence": verdict.message,
                    "at": datetime.now(UTC).isoformat(),
                }
            )

    def _scale(self, wanted: int) -> None:
        while len(self._running) < wanted:
            name = f"demo-worker-6d4b8c7f9-{secrets.token_hex(3)[:5]}"
            self._running.append(self._pipeline.start_worker(wait=False, FIB_POD_NAME=name))
        while len(self._running) > wanted:
            self._running.pop().send(signal.SIGTERM)

    def _measure(self) -> None:
        """The CPU of all workers in percent of what they request, as metrics-server would tell."""
        (since, before), now, spent = self._cpu, time.monotonic(), sum(map(_cpu_seconds, self._running))
        if now - since >= 5:
            self._cpu = now, spent
            request = 0.5 * len(self)
            self._utilisation = max(0, round(100 * (spent - before) / (now - since) / request))

    def _children(self) -> dict[tuple[str, str], Object]:
        """What the sentence is made of, as the API server would have it."""
        target = self._spec.spec.worker.autoscaling.target_cpu_utilization_percentage
        conditions = [{"type": kind, "status": "True"} for kind in ("AbleToScale", "ScalingActive")]
        metric = {"resource": {"current": {"averageUtilization": self._utilisation}}}
        return {
            ("Deployment", "demo-worker"): {"spec": {"replicas": len(self)}, "status": {"readyReplicas": len(self)}},
            ("HorizontalPodAutoscaler", "demo-worker"): {
                "spec": {"metrics": [{"resource": {"target": {"averageUtilization": target}}}]},
                "status": {"conditions": conditions, "currentMetrics": [metric]},
            },
        }


def _cpu_seconds(worker: Process) -> float:
    def of(pid: int) -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    try:
        return sum(map(of, (worker.pid, *worker.children())))
    except FileNotFoundError:
        return 0.0


@contextmanager
def standing() -> Iterator[tuple[Pipeline, Workers, httpx.Client]]:
    """The pipeline with API, relay, Flower and three workers; its workers; a client that is logged in to Flower."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker, database = RabbitMQ(), PostgreSQL(args=("-c", "max_connections=200"))
        for server in (broker, database):
            stack.callback(server.close)
            server.launch()
        for server in (broker, database):
            server.wait_ready()
        pipeline = stack.enter_context(Pipeline(broker, database, folder, SETTINGS))
        pipeline.migrate()
        pipeline.start_api()
        pipeline.start_relay()
        _, flower = pipeline.start_flower()
        stack.enter_context(flower)
        workers = stack.enter_context(Workers(pipeline))
        yield pipeline, workers, flower
