"""A reconciler with a cluster in memory."""

import copy
import itertools
from typing import Any

from fiboperator import names
from fiboperator.autoscale import Reading
from fiboperator.children import Children, PipelineKey
from fiboperator.errors import ApiError, Taken
from fiboperator.kinds import POSTED_KINDS
from fiboperator.loadpoll import Settled
from fiboperator.reconcile import Reconciler
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
        self.reads: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.warnings: dict[tuple[str, str], str] = {}
        self.api_groups: set[str] = set()
        self.looked_for: list[str] = []
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
        if there := self.objects.get((body["kind"], body["metadata"]["name"])):
            if body["kind"] in POSTED_KINDS and names.is_ours(there):
                raise ApiError("create", 409, "AlreadyExists", "it exists")
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

    async def grow(self, claim: Object, size: str) -> None:
        self._note(f"grow {claim['metadata']['name']} {size}")
        live = self.objects["PersistentVolumeClaim", claim["metadata"]["name"]]
        live["spec"]["resources"]["requests"]["storage"] = size
        live["metadata"]["resourceVersion"] = str(next(self.versions))

    async def delete(self, live: Object, *, propagation: str = "Background") -> None:
        self._note(f"{'orphan' if propagation == 'Orphan' else 'delete'} {live['kind']} {live['metadata']['name']}")
        del self.objects[live["kind"], live["metadata"]["name"]]

    async def has_api_group(self, group: str) -> bool:
        self.looked_for.append(group)
        return group in self.api_groups

    async def read(self, kind: str, namespace: str, name: str) -> Object | None:
        self.reads.append(f"{kind} {name}")
        return copy.deepcopy(self.objects.get((kind, name)))

    async def last_warning(self, live: Object) -> str:
        return self.warnings.get((live["kind"], live["metadata"]["name"]), "")

    async def apply_status(self, pipeline: Object, status: Object) -> Object:
        self._note("status")
        body = {**pipeline, "status": status, "metadata": {**pipeline["metadata"], "resourceVersion": str(next(self.versions))}}
        self.objects["FibPipeline", "demo"] = body
        return copy.deepcopy(body)

    async def amend(self, live: Object, metadata: Object) -> None:
        self._note(f"amend {live['kind']} {live['metadata']['name']} {', '.join(sorted(metadata))}")
        body = self.objects[live["kind"], live["metadata"]["name"]]
        body["metadata"].update(copy.deepcopy(metadata))
        body["metadata"]["resourceVersion"] = str(next(self.versions))

    async def annotate(self, live: Object, annotations: dict[str, str | None]) -> Object:
        self._note(f"annotate {live['metadata']['name']} {next(iter(annotations.values()))}")
        body = self.objects[live["kind"], live["metadata"]["name"]]
        merged = {**body["metadata"].get("annotations", {}), **annotations}
        body["metadata"]["annotations"] = {key: value for key, value in merged.items() if value is not None}
        body["metadata"]["resourceVersion"] = str(next(self.versions))
        return copy.deepcopy(body)

    async def post_event(self, pipeline: Object, kind: str, reason: str, message: str) -> None:
        self.events.append(reason)


class MemoryLoads:
    """What the API would report; keeps what it would be told."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.followed: set[PipelineKey] = set()
        self.settled: Settled | None = None
        self.decision: Object = {}

    def follow(self, key: PipelineKey) -> Reading:
        self.followed.add(key)
        return self.reading

    def forget(self, key: PipelineKey) -> None:
        self.followed.discard(key)

    def settle(self, key: PipelineKey, settled: Settled, decision: Object) -> None:
        self.settled, self.decision = settled, decision


class World:
    """A reconciler, its cluster and its watches."""

    def __init__(self, spec: Object | None = None) -> None:
        self.cluster = MemoryCluster()
        self.elsewhere: list[Object] = []
        """Children of pipelines in other namespaces."""
        self.trouble: ApiError | None = None
        self.restart()
        self.submit(spec)

    def restart(self) -> None:
        """A new operator process: it knows only what the cluster shows."""
        self.children, self.loads = Children(), MemoryLoads()
        release = Release("0.1.0", "fibpipeline/app:0.1.0")
        self.reconciler = Reconciler(self.cluster, self.children, release, lambda: self.trouble, self.loads)  # type: ignore[arg-type]
        self.watch()
        if pipeline := self.cluster.objects.get(("FibPipeline", "demo")):
            self.reconciler.observe(pipeline)

    def watch(self) -> None:
        """The watches catch up with the cluster."""
        everything = [*self.cluster.objects.values(), *self.elsewhere]
        for body in everything:
            self.children.put(body)
        for kind in {"Ingress", *(kind for kind, _ in self.children.of(KEY))}:
            present = {(body["metadata"]["namespace"], body["metadata"]["name"]) for body in everything if body["kind"] == kind}
            self.children.retain(kind, present)

    def bind_volume(self, component: str, size: str, phase: str = "Bound") -> None:
        """The claim that Kubernetes made for a StatefulSet."""
        name = f"data-demo-{component}-0"
        labels = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": component}
        metadata = {
            "name": name,
            "namespace": "flask-celery",
            "uid": "c",
            "resourceVersion": str(next(self.cluster.versions)),
            "labels": labels,
        }
        metadata["annotations"] = dict(names.NEVER_PRUNED)
        spec = {"storageClassName": "fast", "resources": {"requests": {"storage": size}}}
        self.cluster.objects["PersistentVolumeClaim", name] = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": spec,
            "status": {"phase": phase},
        }
        self.watch()

    def submit(self, spec: Object | None, **metadata: Any) -> None:
        before = self.cluster.objects.get(("FibPipeline", "demo"), {})
        body = {
            **fibpipeline(spec, **{"resourceVersion": str(next(self.cluster.versions)), **metadata}),
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
