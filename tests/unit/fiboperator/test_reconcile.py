"""The pass against a cluster in memory."""

import contextlib
import copy
import itertools
from typing import Any

import pytest

from fiboperator.children import Children
from fiboperator.errors import ApiError, Taken
from fiboperator.reconcile import SLOW_RETRY_SECONDS, Reconciler
from fiboperator.resources import Release
from tests.pipelines import fibpipeline

KEY = ("flask-celery", "demo")
Object = dict[str, Any]


class Killed(BaseException):
    """The operator's process ends here."""


class MemoryCluster:
    """As much of an API server as one pass touches; counts what is written."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.written: list[str] = []
        self.events: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.versions = itertools.count(1000)

    def _note(self, action: str) -> None:
        self.written.append(action)
        for fragment, failure in self.failures.items():
            if fragment in action:
                raise failure

    def _store(self, body: Object) -> Object:
        key = (body["kind"], body["metadata"]["name"])
        identity = {"uid": f"uid-{key[1]}-{key[0]}", "resourceVersion": str(next(self.versions)), "generation": 1}
        kept = {**copy.deepcopy(body), "metadata": {**copy.deepcopy(body["metadata"]), **identity}}
        if body["kind"] == "Deployment":
            before = self.objects.get(key, {"spec": {}})
            kept["spec"] = {"replicas": before["spec"].get("replicas", 1), **kept["spec"]}
        self.objects[key] = kept
        return copy.deepcopy(kept)

    async def create(self, body: Object) -> Object:
        self._note(f"create {body['kind']} {body['metadata']['name']}")
        if (body["kind"], body["metadata"]["name"]) in self.objects:
            raise Taken("it is managed by kubectl")
        return self._store(body)

    async def apply(self, body: Object) -> Object:
        self._note(f"apply {body['kind']} {body['metadata']['name']}")
        return self._store(body)

    async def scale(self, deployment: Object, replicas: int) -> Object:
        self._note(f"scale {deployment['metadata']['name']} {replicas}")
        live = self.objects["Deployment", deployment["metadata"]["name"]]
        live["spec"]["replicas"] = replicas
        live["metadata"]["resourceVersion"] = str(next(self.versions))
        return copy.deepcopy(live)

    async def delete(self, live: Object) -> None:
        self._note(f"delete {live['kind']} {live['metadata']['name']}")
        del self.objects[live["kind"], live["metadata"]["name"]]

    async def read(self, kind: str, namespace: str, name: str) -> Object | None:
        return copy.deepcopy(self.objects.get((kind, name)))

    async def list_secrets(self, namespace: str, pipeline: str) -> list[Object]:
        return [copy.deepcopy(body) for (kind, _), body in self.objects.items() if kind == "Secret"]

    async def apply_status(self, pipeline: Object, status: Object) -> Object:
        self._note("status")
        body = {**pipeline, "status": status, "metadata": {**pipeline["metadata"], "resourceVersion": str(next(self.versions))}}
        self.objects["FibPipeline", "demo"] = body
        return copy.deepcopy(body)

    async def post_event(self, pipeline: Object, kind: str, reason: str, message: str) -> None:
        self.events.append(reason)


class World:
    """A reconciler, its cluster and its watches."""

    def __init__(self, spec: Object | None = None) -> None:
        self.cluster = MemoryCluster()
        self.trouble: ApiError | None = None
        self.restart()
        self.submit(spec)

    def restart(self) -> None:
        """A new operator process: it knows only what the cluster shows."""
        self.children = Children()
        self.reconciler = Reconciler(self.cluster, self.children, Release("0.1.0", "fibpipeline/app:0.1.0"), lambda: self.trouble)  # type: ignore[arg-type]
        self.watch()
        if pipeline := self.cluster.objects.get(("FibPipeline", "demo")):
            self.reconciler.observe(pipeline)

    def watch(self) -> None:
        """The watches catch up with the cluster."""
        for body in self.cluster.objects.values():
            self.children.put(body)
        for kind in {kind for kind, _ in self.children.of(KEY)}:
            self.children.retain(kind, {("flask-celery", name) for (of, name) in self.cluster.objects if of == kind})

    def submit(self, spec: Object | None, **metadata: Any) -> None:
        before = self.cluster.objects.get(("FibPipeline", "demo"), {})
        version = str(int(before.get("metadata", {}).get("resourceVersion", 1)) + 1)
        body = {
            **fibpipeline(spec, **{"resourceVersion": version, **metadata}),
            **({"status": before["status"]} if "status" in before else {}),
        }
        self.cluster.objects["FibPipeline", "demo"] = body
        self.reconciler.observe(body)

    async def reconcile(self) -> float | None:
        self.cluster.written.clear()
        delay = await self.reconciler(KEY)
        self.watch()
        return delay

    def condition(self, kind: str = "Ready") -> Object:
        conditions = self.cluster.objects["FibPipeline", "demo"]["status"]["conditions"]
        return next(condition for condition in conditions if condition["type"] == kind)

    def passwords(self) -> dict[str, Any]:
        return {name: body["data"] for (kind, name), body in self.cluster.objects.items() if kind == "Secret"}


async def test_one_pass_makes_everything_and_the_second_writes_nothing() -> None:
    world = World()
    assert await world.reconcile() is None
    creations = [action for action in world.cluster.written if action.startswith("create")]
    assert sorted(set(world.cluster.written) - set(creations)) == ["scale demo-worker 3", "status"]
    assert creations[:3] == ["create Secret demo-rabbitmq", "create Secret demo-postgresql", "create Secret demo-flower"]
    await world.reconcile()
    assert world.cluster.written == []
    world.restart()
    await world.reconcile()
    assert world.cluster.written == [], "nor does a restart"
    assert world.cluster.events == ["WaitingForBroker"]


async def test_a_deleted_or_edited_child_is_repaired_by_one_write() -> None:
    world = World()
    await world.reconcile()
    del world.cluster.objects["Service", "demo-api"]
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["create Service demo-api"]
    edited = world.cluster.objects["Deployment", "demo-api"]
    edited["spec"]["replicas"] = 7
    edited["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["apply Deployment demo-api"]


async def test_the_workers_number_is_left_to_the_autoscaler_above_the_floor() -> None:
    world = World()
    await world.reconcile()
    worker = world.cluster.objects["Deployment", "demo-worker"]
    worker["spec"]["replicas"] = 8
    worker["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()
    await world.reconcile()
    assert "scale" not in " ".join(world.cluster.written)
    world.submit({"worker": {"replicas": 2, "autoscaling": {"enabled": False}}}, generation=2)
    await world.reconcile()
    assert "scale demo-worker 2" in world.cluster.written
    assert "delete HorizontalPodAutoscaler demo-worker" in world.cluster.written


async def test_what_is_switched_off_is_pruned_but_never_credentials() -> None:
    world = World()
    await world.reconcile()
    world.submit({"flower": {"enabled": False}}, generation=2)
    await world.reconcile()
    gone = {action for action in world.cluster.written if action.startswith("delete")}
    assert gone == {f"delete {kind} demo-flower" for kind in ("Deployment", "Service", "ServiceAccount", "NetworkPolicy")}
    assert "demo-flower" in world.passwords()


@pytest.mark.parametrize("after", range(1, 34))
async def test_killed_after_any_write_and_started_again_the_end_is_the_same(after: int) -> None:
    world = World()
    writes = itertools.count(1)
    note = world.cluster._note

    def until(action: str) -> None:
        if next(writes) > after:
            raise Killed
        note(action)

    world.cluster._note = until  # type: ignore[method-assign]
    with contextlib.suppress(Killed):
        await world.reconciler(KEY)
    before = copy.deepcopy(world.passwords())
    world.cluster._note = note  # type: ignore[method-assign]
    world.restart()
    await world.reconcile()
    for name, data in before.items():
        assert world.passwords()[name] == data, "a password was made up anew"
    clean = World()
    await clean.reconcile()
    assert set(world.cluster.objects) == set(clean.cluster.objects)
    await world.reconcile()
    assert world.cluster.written == []


async def test_a_lost_secret_is_not_made_up_again_over_existing_data() -> None:
    world = World()
    await world.reconcile()
    labels = world.cluster.objects["StatefulSet", "demo-postgresql"]["metadata"]["labels"]
    claim = {"name": "data-demo-postgresql-0", "namespace": "flask-celery", "uid": "c", "resourceVersion": "1", "labels": labels}
    world.cluster.objects["PersistentVolumeClaim", "data-demo-postgresql-0"] = {"kind": "PersistentVolumeClaim", "metadata": claim}
    del world.cluster.objects["Secret", "demo-postgresql"]
    world.watch()
    assert await world.reconcile() == SLOW_RETRY_SECONDS
    assert world.condition()["reason"] == "SecretNotFound"
    assert "Restore the Secret" in world.condition()["message"]
    assert world.cluster.written == ["status"]


async def test_a_foreign_object_under_a_childs_name_is_left_alone() -> None:
    world = World()
    foreign = {
        "kind": "ConfigMap",
        "metadata": {"name": "demo-postgresql", "namespace": "flask-celery", "resourceVersion": "7", "uid": "f"},
    }
    world.cluster.objects["ConfigMap", "demo-postgresql"] = copy.deepcopy(foreign)
    await world.reconcile()
    assert world.condition()["reason"] == "Conflict"
    assert "ConfigMap demo-postgresql" in world.condition()["message"]
    await world.reconcile()
    assert world.cluster.objects["ConfigMap", "demo-postgresql"] == foreign
    assert world.condition("Stalled")["status"] == "True"


async def test_a_successor_waits_for_the_leftovers_of_its_predecessor_and_adopts_its_credentials() -> None:
    world = World()
    await world.reconcile()
    before = world.passwords()
    del world.cluster.objects["FibPipeline", "demo"]
    world.submit(None, uid="22222222-bbbb")
    await world.reconcile()
    assert "still being removed" in world.condition()["message"]
    world.cluster.objects = {key: body for key, body in world.cluster.objects.items() if key[0] in ("Secret", "FibPipeline")}
    world.watch()
    await world.reconcile()
    assert ("Deployment", "demo-worker") in world.cluster.objects
    assert world.passwords() == before


async def test_paused_leaves_every_child_as_it_is() -> None:
    world = World()
    await world.reconcile()
    world.submit({"paused": True, "api": {"replicas": 9}}, generation=2)
    del world.cluster.objects["Service", "demo-api"]
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["status"]


async def test_a_pipeline_that_is_gone_gets_no_children_back() -> None:
    world = World()
    await world.reconcile()
    world.cluster.objects.clear()
    world.children = Children()
    world.reconciler._children = world.children
    await world.reconcile()
    assert world.cluster.written == []
    assert world.reconciler.pipelines == {}


async def test_a_refusal_is_a_condition_and_a_slow_retry() -> None:
    world = World()
    world.cluster.failures["StatefulSet demo-rabbitmq"] = ApiError(
        "apply StatefulSet demo-rabbitmq", 403, "Forbidden", "cannot patch statefulsets"
    )
    assert await world.reconcile() == SLOW_RETRY_SECONDS
    assert world.condition()["reason"] == "Forbidden"
    assert "cannot patch statefulsets" in world.condition()["message"]
    world.cluster.failures.clear()
    await world.reconcile()
    assert world.condition()["reason"] == "WaitingForBroker"


async def test_a_passing_failure_is_a_condition_and_backoff() -> None:
    world = World()
    world.cluster.failures["Service demo-api"] = ApiError("apply Service demo-api", 500, "InternalError", "etcd is away")
    with pytest.raises(ApiError):
        await world.reconcile()
    assert world.condition()["reason"] == "ReconcileError"


async def test_children_that_cannot_be_listed_are_not_taken_for_missing() -> None:
    world = World()
    world.trouble = ApiError("list StatefulSet", 403, "Forbidden", "cannot list statefulsets")
    await world.reconcile()
    assert world.cluster.written == ["status"]
    assert "cannot list statefulsets" in world.condition()["message"]


async def test_a_spec_that_cannot_be_read_waits_for_a_change() -> None:
    world = World()
    await world.reconcile()
    broken = fibpipeline(None, generation=2, resourceVersion="9000")
    del broken["spec"]["api"]
    world.reconciler.observe(broken)
    assert await world.reconcile() is None
    assert world.condition()["reason"] == "InvalidSpec"
    assert "spec.api: Field required" in world.condition()["message"]
