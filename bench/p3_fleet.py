"""P3 to P6: a thousand pipelines at once: made, left alone, kept in memory, and found again by an operator that starts."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.cluster.control import OPERATOR, PEER, Control, Running, observed
from bench.cluster.fanout import apply_all, children
from bench.processes import wait_until
from bench.table import Row, figure, times

PIPELINES = 1000
NAMESPACES = 20
GENERATED = 60
"""Pipelines' worth of objects that the bare generator applies."""
AT_ONCE = 32
IDLE_SECONDS = 60.0
PEER_PIPELINES = 50
WATCHER, TIMER = "bench.peer.watching_operator", "bench.peer.timer_operator"


@dataclass(frozen=True, slots=True)
class Idle:
    """A minute in which nobody asks for anything."""

    requests: float
    core: float
    """Part of a processor core."""
    polls: float
    """Questions for the load and pushed decisions, answered by API pods."""


def run(control: Control, _rounds: int) -> list[Row]:
    """One round: each of these takes minutes."""
    empty = control.start_operator()
    bare = empty.resident_mib()
    operator = empty
    seconds = _create(control)
    control.wait_quiet(OPERATOR)
    cpu = operator.cpu_seconds() / PIPELINES
    objects = children(control, "fleet-0")
    count = len(objects) * NAMESPACES
    generator = _generate(control)
    rate, floor = count / seconds, generator
    idle = _idle(control, operator, OPERATOR)
    memory = operator.resident_mib()
    operator.program.kill()
    restart, writes = _restart(control)
    watcher = _memory_of_watcher(control)
    timer = _idle_of_timer(control)
    fewer = timer.requests / PEER_PIPELINES / (max(idle.requests, 1) / PIPELINES)
    return [
        Row(
            "P3",
            f"{PIPELINES:,} CRs at once, {count:,} children",
            f"{figure(rate)} objects/s",
            f"bare generator {figure(floor)} /s",
            times(rate / floor),
            ">= 0.8x",
            rate >= 0.8 * floor,
        ),
        Row("P3", "operator CPU a CR, until quiet", f"{figure(cpu * 1000)} ms", "", "", "<= 40 ms (stretch 25)", cpu <= 0.04),
        Row(
            "P4",
            f"{PIPELINES:,} CRs idle, a minute",
            f"{figure(idle.requests)} requests",
            f"timer operator, {PEER_PIPELINES} CRs: {figure(timer.requests)}",
            f"{times(fewer)} fewer a CR",
            "<= 12, >= 1,000x fewer",
            idle.requests <= 12 and fewer >= 1000,
        ),
        Row("P4", "the same, CPU", f"{idle.core:.2%} of a core", f"{timer.core:.2%}", "", "<= 0.5 %", idle.core <= 0.005),
        Row(
            "P4",
            "the same, questions to API pods",
            f"{figure(idle.polls / PIPELINES)} a CR",
            "",
            "",
            "<= 0.2",
            idle.polls <= 0.2 * PIPELINES,
        ),
        Row(
            "P5",
            f"memory at {PIPELINES:,} CRs",
            f"{figure(memory)} MiB (empty {figure(bare)})",
            f"kopf, only watching the same: {figure(watcher)} MiB",
            f"{times(memory / watcher)} its memory",
            "<= 1.5x",
            memory <= 1.5 * watcher,
        ),
        Row("P6", f"restart with {PIPELINES:,} CRs, all checked", f"{figure(restart)} s", "", "", "<= 30 s (stretch 10)", restart <= 30),
        Row("P6", "the same, writes", str(writes), "", "", "0", writes == 0),
    ]


def _create(control: Control) -> float:
    """Seconds until every pipeline's status is written."""
    control.make_namespaces(f"fleet-{index}" for index in range(NAMESPACES))
    each = PIPELINES // NAMESPACES
    begun = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: control.make_pipeline(f"fleet-{index // each}", f"demo-{index % each}"), range(PIPELINES)))
    wait_until(
        "all pipelines to be observed",
        lambda: all(observed(pipeline) for pipeline in control.pipelines() if pipeline["metadata"]["namespace"].startswith("fleet-")),
        900,
        2.0,
    )
    return time.perf_counter() - begun


def _generate(control: Control) -> float:
    """Objects a second of a bare client that applies the same objects to the same, full API server."""
    objects = [item for item in children(control, "fleet-0") if item["metadata"]["name"].startswith("demo-0-")]
    namespaces = [f"generated-{index}" for index in range(GENERATED)]
    control.make_namespaces(namespaces)
    return len(objects) * len(namespaces) / sum(apply_all(control, objects, namespaces, AT_ONCE))


def _idle(control: Control, operator: Running, user: str) -> Idle:
    mark, cpu, polls, begun = control.audit.mark(), operator.cpu_seconds(), control.polls(), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    seconds = time.perf_counter() - begun
    requests = len(control.audit.since(mark, user))
    return Idle(requests * 60 / seconds, (operator.cpu_seconds() - cpu) / seconds, (control.polls() - polls) * 60 / seconds)


def _restart(control: Control) -> tuple[float, int]:
    """Seconds from the start of the process until it has checked every pipeline, and what it wrote."""
    mark, begun = control.audit.mark(), time.perf_counter()
    operator = control.start_operator()
    total = len(control.pipelines())
    wait_until("all pipelines to be checked", lambda: operator.passes() >= total, 300, 0.1)
    seconds = time.perf_counter() - begun
    control.wait_quiet(OPERATOR)
    operator.program.kill()
    return seconds, sum(request.writes for request in control.audit.since(mark, OPERATOR))


def _memory_of_watcher(control: Control) -> float:
    watcher = control.start_peer(WATCHER)
    control.wait_quiet(PEER)
    memory = watcher.resident_mib()
    watcher.program.kill()
    return memory


def _idle_of_timer(control: Control) -> Idle:
    control.make_namespaces(["timer"])
    for index in range(PEER_PIPELINES):
        body = {"apiVersion": "bench.io/v1", "kind": "PeerPipeline", "metadata": {"name": f"demo-{index}"}}
        control.api.post("/apis/bench.io/v1/namespaces/timer/peerpipelines", json=body).raise_for_status()
    timer = control.start_peer(TIMER)
    wait_until("the peer's children", lambda: _count(control, "timer") >= 5 * PEER_PIPELINES, 120, 1.0)
    idle = _idle(control, timer, PEER)
    timer.program.kill()
    return idle


def _count(control: Control, namespace: str) -> int:
    return len(control.api.get(f"/api/v1/namespaces/{namespace}/configmaps").raise_for_status().json()["items"]) - 1
