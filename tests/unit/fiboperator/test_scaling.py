"""What a pass does with the load: floor, /scale, marks on busy pods, the sentence, and what the API is told."""

from typing import Any

from fiboperator.autoscale import Load, Reading
from fiboperator.names import DELETION_COST
from fiboperator.scaling import TELL_SECONDS
from tests.unit.fiboperator.world import KEY, World


def load(queued: int = 0, seconds: float = 0, **busy: float) -> Reading:
    """`busy` maps a pod's name (with _ for -) to the seconds that its job needs still."""
    pods = {pod.replace("_", "-"): {"jobs": 1, "remaining_seconds": left} for pod, left in busy.items()}
    running_seconds = sum(busy.values())
    return Reading(
        Load(version="1", queued=queued, running=len(busy), seconds=seconds, running_seconds=running_seconds, busy=pods)  # type: ignore[arg-type]
    )


def floor(world: World) -> Any:
    return world.cluster.objects["HorizontalPodAutoscaler", "demo-worker"]["spec"]["minReplicas"]


def workers(world: World) -> Any:
    return world.cluster.objects["Deployment", "demo-worker"]["spec"]["replicas"]


def run_pods(world: World, *names: str) -> None:
    """The pods that the ReplicaSet would make."""
    labels = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "worker"}
    for name in names:
        metadata = {"name": name, "namespace": "flask-celery", "uid": name, "resourceVersion": str(next(world.cluster.versions))}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "labels": labels}, "spec": {"nodeName": "node-1"}}
        world.cluster.objects["Pod", name] = body
    world.watch()


def hpa_looks(world: World, cpu: int = 20) -> None:
    """The autoscaler's controller reports."""
    autoscaler = world.cluster.objects["HorizontalPodAutoscaler", "demo-worker"]
    autoscaler["status"] = {
        "conditions": [{"type": "AbleToScale", "status": "True"}, {"type": "ScalingActive", "status": "True"}],
        "currentMetrics": [{"containerResource": {"current": {"averageUtilization": cpu}}}],
    }
    autoscaler["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()


def reason(world: World) -> str:
    return str(world.cluster.objects["FibPipeline", "demo"]["status"]["worker"]["reason"])


async def test_a_burst_raises_floor_and_workers_in_one_pass_and_silence_lowers_only_the_floor() -> None:
    world = World()
    await world.reconcile()
    world.loads.reading = load(300, 300)
    await world.reconcile()
    assert (floor(world), workers(world)) == (10, 10)
    assert world.cluster.written == ["apply HorizontalPodAutoscaler demo-worker", "scale demo-worker 10", "status"]
    await world.reconcile()
    assert world.cluster.written == [], "the same load costs nothing"
    world.loads.reading = load()
    await world.reconcile()
    assert (floor(world), workers(world)) == (3, 10), "the autoscaler lowers the workers, in its own time"


async def test_after_a_restart_the_floor_stands_until_the_load_is_known() -> None:
    world = World()
    await world.reconcile()
    world.loads.reading = load(300, 300)
    await world.reconcile()
    hpa_looks(world)
    await world.reconcile()
    world.restart()
    await world.reconcile()
    assert world.cluster.written == []
    assert "300 s of queued and running work" in reason(world)
    world.loads.reading = Reading(away="no API pod answers")
    await world.reconcile()
    assert floor(world) == 3
    assert "out of reach (no API pod answers)" in reason(world)


async def test_busy_pods_are_marked_before_the_floor_goes_down_and_only_then() -> None:
    world = World()
    await world.reconcile()
    run_pods(world, "w-1", "w-2", "w-3", "w-4", "w-5")
    world.loads.reading = load(120, 120, w_1=100, w_2=3, w_3=1)
    await world.reconcile()
    assert (floor(world), workers(world)) == (6, 6)
    assert "annotate" not in " ".join(world.cluster.written), "none has to leave"
    world.loads.reading = load(0, 0, w_1=90, w_2=1)
    await world.reconcile()
    assert world.cluster.written == ["annotate w-1 103", "apply HorizontalPodAutoscaler demo-worker", "status"]
    world.loads.reading = load(0, 0, w_1=85)
    await world.reconcile()
    assert world.cluster.written == [], "a few seconds less are no reason to write"
    world.loads.reading = load()
    await world.reconcile()
    assert "annotate w-1 None" in world.cluster.written
    assert DELETION_COST not in world.cluster.objects["Pod", "w-1"]["metadata"]["annotations"]


async def test_figures_alone_are_told_at_most_every_few_seconds() -> None:
    world = World()
    now = [1000.0]
    world.reconciler._scaling._clock = lambda: now[0]
    await world.reconcile()
    hpa_looks(world)
    world.loads.reading = load(300, 300)
    await world.reconcile()
    world.loads.reading = load(200, 200)
    now[0] += 5
    assert await world.reconcile() == TELL_SECONDS - 5, "the new figure is due later"
    assert world.cluster.written == []
    now[0] += TELL_SECONDS
    assert await world.reconcile() is None
    assert world.cluster.written == ["status"]
    assert "200 s of queued" in reason(world)
    world.loads.reading = load()
    await world.reconcile()
    assert "nothing is queued" in reason(world), "a new floor is told at once"


async def test_the_api_is_told_the_decision() -> None:
    world = World()
    await world.reconcile()
    world.loads.reading = load(140, 140)
    await world.reconcile()
    decision = world.loads.decision
    assert {key: decision[key] for key in ("workers", "floor", "min", "max")} == {"workers": 5, "floor": 5, "min": 3, "max": 10}
    assert decision["sentence"] == reason(world)
    assert decision["at"].endswith("Z")


async def test_without_autoscaling_the_page_is_told_so_and_the_number_is_the_specs() -> None:
    world = World()
    await world.reconcile()
    world.submit({"worker": {"replicas": 2, "autoscaling": {"enabled": False}}}, generation=2)
    world.loads.reading = load(140, 140)
    await world.reconcile()
    assert world.condition("AutoscalingActive")["reason"] == "ScalingDisabled"
    decision = world.loads.decision
    assert {key: decision[key] for key in ("workers", "floor", "min", "max")} == {"workers": 2, "floor": 2, "min": 2, "max": 2}
    assert decision["sentence"] == reason(world)
    assert "autoscaling is off" in reason(world)


async def test_a_pipeline_that_is_gone_is_asked_no_more() -> None:
    world = World()
    await world.reconcile()
    assert world.loads.followed == {KEY}
    world.reconciler.forget(KEY, "11111111-aaaa")
    assert world.loads.followed == set()


async def test_paused_changes_neither_floor_nor_workers() -> None:
    world = World()
    await world.reconcile()
    world.submit({"paused": True}, generation=2)
    world.loads.reading = load(300, 300)
    await world.reconcile()
    assert (floor(world), workers(world)) == (3, 3)
    assert "spec.paused is true" in reason(world)
