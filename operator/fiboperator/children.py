"""The live children of every pipeline as the watches show them, kept compactly: 22,000 of them fit in some tens of MiB."""

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from . import names
from .hosts import Hosts
from .resources.objects import Object

PipelineKey = tuple[str, str]  # namespace, name of the FibPipeline
ChildKey = tuple[str, str]  # kind, name
Identity = tuple[str, str]  # namespace, name


REMEMBERED_DELETIONS = 1000
"""The reply to a write may come after the news that the object was deleted since: for so long it must not bring it back."""

# Written with the status of each rollout: it would make a report look like a deed.
_COUNTED_BY_ITS_CONTROLLER = "deployment.kubernetes.io/revision"


@dataclass(frozen=True, slots=True)
class Change:
    """News of a child."""

    pipeline: PipelineKey
    reported: bool = False
    """Only what is reported of it moved, or it is most probably our own doing: nothing that a pass could have to mend in a hurry."""
    bereft: PipelineKey | None = None
    """The pipeline whose child it was before it was given to this one, by a changed label."""


@dataclass(frozen=True, slots=True)
class _Packed:
    uid: str
    version: int
    wanted: int
    """A hash of everything but what is reported."""
    data: bytes


class Children:
    """Live objects by pipeline; the newest resource version of each wins, also that of its deletion."""

    def __init__(self, hosts: Hosts | None = None) -> None:
        self.hosts = hosts or Hosts()
        self._by_pipeline: dict[PipelineKey, dict[ChildKey, _Packed]] = {}
        self._filed: dict[tuple[str, Identity], PipelineKey] = {}
        self._deleted: OrderedDict[tuple[PipelineKey, ChildKey], int] = OrderedDict()
        self._being_written: set[tuple[PipelineKey | None, ChildKey]] = set()

    @contextmanager
    def writing(self, child: Object) -> Iterator[None]:
        """While this lasts we write that object, and the watch may show it before we have the reply."""
        written = (_pipeline_key(child), (child["kind"], child["metadata"]["name"]))
        self._being_written.add(written)
        try:
            yield
        finally:
            self._being_written.discard(written)

    def put(self, live: Object) -> Change | None:
        """Take in an object; returns what that changes, if anything."""
        pipeline = _pipeline_key(live)
        metadata = live["metadata"]
        key, version = (live["kind"], metadata["name"]), int(metadata["resourceVersion"])
        bereft = self._filed.get(_filed_as(live))
        if bereft in (None, pipeline):
            bereft = None
        elif version <= self._by_pipeline[bereft][key].version:
            return None
        else:
            self._remove(bereft, key)
        if pipeline is None:
            return Change(bereft) if bereft else None
        known = self._by_pipeline.setdefault(pipeline, {})
        old = known.get(key)
        if version <= (old.version if old else self._deleted.get((pipeline, key), 0)):
            return None
        kept = compact(live)
        new = _Packed(metadata["uid"], version, _wanted(kept), zlib.compress(orjson.dumps(kept), 1))
        known[key] = new
        self._filed[_filed_as(live)] = pipeline
        if key == _ingress_key(pipeline):
            self.hosts.put(pipeline, live)
        only_reported = old is not None and (old.uid, old.wanted) == (new.uid, new.wanted)
        return Change(pipeline, only_reported or (pipeline, key) in self._being_written, bereft)

    def drop(self, gone: Object) -> Change | None:
        """Forget an object that was deleted; a newer one of the same name stays. Returns what that changes, if anything."""
        pipeline = self._filed.get(_filed_as(gone)) or _pipeline_key(gone)
        if pipeline is None:
            return None
        key = (gone["kind"], gone["metadata"]["name"])
        self._deleted[pipeline, key] = int(gone["metadata"]["resourceVersion"])
        if len(self._deleted) > REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)
        known = self._by_pipeline.get(pipeline, {})
        if key not in known or known[key].uid != gone["metadata"]["uid"]:
            return None
        self._remove(pipeline, key)
        return Change(pipeline)

    def retain(self, kind: str, present: set[Identity], namespace: str | None = None) -> set[PipelineKey]:
        """After a complete list of one kind, of one namespace or of all: what is not in it is gone. Returns who lost something."""
        vanished = [
            (pipeline, key)
            for pipeline, known in self._by_pipeline.items()
            for key in known
            if key[0] == kind and namespace in (None, pipeline[0]) and (pipeline[0], key[1]) not in present
        ]
        for pipeline, key in vanished:
            self._remove(pipeline, key)
        return {pipeline for pipeline, _ in vanished}

    def of(self, pipeline: PipelineKey) -> dict[ChildKey, Object]:
        """The live objects of a pipeline."""
        return {key: _unpack(packed) for key, packed in self._by_pipeline.get(pipeline, {}).items()}

    def get(self, pipeline: PipelineKey, key: ChildKey) -> Object | None:
        """One live object of a pipeline."""
        packed = self._by_pipeline.get(pipeline, {}).get(key)
        return _unpack(packed) if packed else None

    def _remove(self, pipeline: PipelineKey, key: ChildKey) -> None:
        known = self._by_pipeline[pipeline]
        del known[key]
        del self._filed[key[0], (pipeline[0], key[1])]
        if not known:
            del self._by_pipeline[pipeline]
        if key == _ingress_key(pipeline):
            self.hosts.drop(pipeline)


def of_component(live: Mapping[ChildKey, Object], kind: str, component: str) -> list[Object]:
    """The objects of one kind that belong to a component."""
    return [
        child
        for (of_kind, _), child in live.items()
        if of_kind == kind and child["metadata"]["labels"].get(names.COMPONENT_LABEL) == component
    ]


def compact(live: Object) -> Object:
    """The object without what no pass looks at; of pods only what tells their health."""
    metadata = {key: value for key, value in live["metadata"].items() if key not in ("managedFields", "generateName", "selfLink")}
    if live["kind"] == "Deployment" and "annotations" in metadata:
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != _COUNTED_BY_ITS_CONTROLLER}
    if live["kind"] != "Pod":
        return {**live, "metadata": metadata}
    status = live.get("status", {})
    marks = {key: value for key, value in metadata.get("annotations", {}).items() if key == names.DELETION_COST}
    kept = ("phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses", "startTime")
    return {
        "apiVersion": live["apiVersion"],
        "kind": "Pod",
        "metadata": {
            **{key: metadata[key] for key in ("name", "namespace", "uid", "labels", "deletionTimestamp") if key in metadata},
            **({"annotations": marks} if marks else {}),
        },
        "spec": {"nodeName": live.get("spec", {}).get("nodeName", "")},
        "status": {key: status[key] for key in kept if key in status},
    }


def _wanted(kept: Object) -> int:
    metadata = {key: value for key, value in kept["metadata"].items() if key != "resourceVersion"}
    return hash(orjson.dumps({**kept, "metadata": metadata, "status": None}))


def _unpack(packed: _Packed) -> Object:
    return dict(orjson.loads(zlib.decompress(packed.data)))


def _filed_as(live: Object) -> tuple[str, Identity]:
    return live["kind"], (live["metadata"]["namespace"], live["metadata"]["name"])


def _ingress_key(pipeline: PipelineKey) -> ChildKey:
    return "Ingress", pipeline[1]


def _pipeline_key(live: dict[str, Any]) -> PipelineKey | None:
    name = names.pipeline_of(live)
    return None if name is None else (live["metadata"]["namespace"], name)
