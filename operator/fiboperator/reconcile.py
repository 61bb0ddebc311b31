"""The story of one pass: from a FibPipeline to its children and back to its status."""

import asyncio
import datetime
import logging
from collections.abc import Callable
from typing import Any

from . import names, status
from .applied import is_applied, stamped
from .children import ChildKey, Children, PipelineKey
from .cluster import APPLIED_KINDS, ApiError, Cluster, Taken
from .names import Component
from .resources import Context, Object, Release, decode, desired, generate, generated_components, missing_keys
from .spec import InvalidSpec, Pipeline, parse
from .status import Problem

# A permanent refusal may be lifted by a person who changes something that no watch of ours shows (RBAC, a quota).
SLOW_RETRY_SECONDS = 60.0

Live = dict[ChildKey, Object]

logger = logging.getLogger(__name__)


class Blocked(Exception):
    """The pass cannot go on until a person, or time, has changed something; it becomes the Ready condition."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Reconciler:
    """Brings pipelines to what their specs say. One pass at a time for each; it keeps no memory of its own between passes."""

    def __init__(self, cluster: Cluster, children: Children, release: Release, trouble: Callable[[], ApiError | None]) -> None:
        self._cluster = cluster
        self._children = children
        self._release = release
        self._trouble = trouble
        self.pipelines: dict[PipelineKey, Object] = {}

    def observe(self, body: Object) -> PipelineKey | None:
        """Take in a FibPipeline; returns its key when that is news."""
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        known = self.pipelines.get(key)
        if known and known["metadata"]["uid"] == metadata["uid"] and _version(known) >= _version(body):
            return None
        kept = {field: value for field, value in metadata.items() if field != "managedFields"}
        self.pipelines[key] = {**body, "metadata": kept}
        return key

    def forget(self, key: PipelineKey, uid: str) -> None:
        """Drop a FibPipeline that is gone; a successor under the same name stays."""
        if key in self.pipelines and self.pipelines[key]["metadata"]["uid"] == uid:
            del self.pipelines[key]

    async def __call__(self, key: PipelineKey) -> float | None:
        """One pass. Returns the delay until the next in seconds, or None: when something changes."""
        body = self.pipelines.get(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None  # the garbage collector removes what it owned
        try:
            pipeline = parse(body)
        except InvalidSpec as error:
            await self._report(
                body, status.of_unreadable(body["metadata"]["generation"], Problem("InvalidSpec", str(error)), _status(body), _now())
            )
            return None
        problem, retry = await self._converge(pipeline, body)
        if key not in self.pipelines:
            return None
        current = status.of_pipeline(pipeline, self._children.of(key), problem, _status(body), _now(), self._release.version)
        await self._report(body, current)
        return retry

    async def _converge(self, pipeline: Pipeline, body: Object) -> tuple[Problem | None, float | None]:
        try:
            if error := self._trouble():
                raise error
            if not pipeline.spec.paused:
                await self._write_children(pipeline, body)
        except Blocked as blocked:
            return blocked.problem, SLOW_RETRY_SECONDS
        except ApiError as error:
            if not error.permanent:
                await self._report_unreachable(pipeline, body, error)
                raise
            return Problem("Forbidden" if error.status == 403 else "Refused", str(error)), SLOW_RETRY_SECONDS
        return None, None

    async def _write_children(self, pipeline: Pipeline, body: Object) -> None:
        live = self._children.of((pipeline.namespace, pipeline.name))
        credentials = await self._credentials(pipeline, live)
        wanted = [stamped(child) for child in desired(Context(pipeline, credentials, self._release))]
        if _status(body):  # not its first pass: what is missing was there before, or a watch is behind
            await self._look_again(pipeline, [child for child in wanted if _key(child) not in live], live)
        _refuse_foreign(pipeline, wanted, live)
        changed = [child for child in wanted if not is_applied(child, live.get(_key(child)))]
        # Secrets first: no pod ever starts, and no volume is ever initialised, with a password that was not kept.
        await self._apply([child for child in changed if child["kind"] == "Secret"], live)
        await self._apply([child for child in changed if child["kind"] != "Secret"], live)
        await self._prune(pipeline, wanted, live)
        await self._scale_workers(pipeline)

    async def _credentials(self, pipeline: Pipeline, live: Live) -> dict[Component, dict[str, str]]:
        """The generated credentials: those that exist, and new ones only where there is nothing that they would lock out."""
        credentials = {component: _stored_credentials(pipeline, component, live) for component in generated_components(pipeline)}
        if any(missing_keys(component, data) for component, data in credentials.items()):
            # A watch may be behind: a password is only ever made up after a look at the present.
            for secret in await self._cluster.list_secrets(pipeline.namespace, pipeline.name):
                self._children.put(secret)
            live.update(self._children.of((pipeline.namespace, pipeline.name)))
            credentials = {component: _stored_credentials(pipeline, component, live) for component in credentials}
        for component, data in credentials.items():
            _refuse_new_key_to_old_data(pipeline, component, data, live)
        return {component: {**generate(component), **data} for component, data in credentials.items()}

    async def _look_again(self, pipeline: Pipeline, missing: list[Object], live: Live) -> None:
        """Before anything is made again: is it really gone, and the pipeline really still there?

        Making children for a deleted pipeline would set us against the garbage collector.
        """
        if not missing:
            return
        now = await self._cluster.read(names.KIND, pipeline.namespace, pipeline.name)
        if now is None or now["metadata"]["uid"] != pipeline.uid:
            self.forget((pipeline.namespace, pipeline.name), pipeline.uid)
            raise Blocked(Problem("Gone", "The FibPipeline was deleted."))
        found = await asyncio.gather(
            *(self._cluster.read(child["kind"], pipeline.namespace, child["metadata"]["name"]) for child in missing)
        )
        for there in found:
            if there is not None:
                self._children.put(there)
                live[_key(there)] = there

    async def _apply(self, changed: list[Object], live: Live) -> None:
        replies = await asyncio.gather(*(self._apply_one(child, _key(child) in live) for child in changed), return_exceptions=True)
        for reply in replies:
            if not isinstance(reply, BaseException):
                self._children.put(reply)
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply

    async def _apply_one(self, child: Object, exists: bool) -> Object:
        try:
            return await (self._cluster.apply(child) if exists else self._cluster.create(child))
        except Taken as error:
            raise Blocked(_conflict(child, str(error))) from error

    async def _prune(self, pipeline: Pipeline, wanted: list[Object], live: Live) -> None:
        """Delete what this pipeline owns and no longer wants. Credentials are never pruned."""
        keys = {_key(child) for child in wanted}
        unwanted = [
            child
            for key, child in live.items()
            if key not in keys and key[0] in APPLIED_KINDS and key[0] != "Secret" and _owner(child).get("uid") == pipeline.uid
        ]
        await asyncio.gather(*(self._cluster.delete(child) for child in unwanted))

    async def _scale_workers(self, pipeline: Pipeline) -> None:
        """Raise the workers to the floor; without autoscaling set them to exactly that number."""
        name = names.child_name(pipeline.name, Component.WORKER)
        deployment = self._children.of((pipeline.namespace, pipeline.name)).get(("Deployment", name))
        if deployment is None:
            return
        floor, present = pipeline.spec.worker.floor, deployment["spec"].get("replicas", 1)
        if present < floor or (present != floor and not pipeline.spec.worker.autoscaling.enabled):
            await self._cluster.scale(deployment, floor)

    async def _report(self, body: Object, current: Object) -> None:
        """Write the status if it differs from the one that is there, and tell of what flipped."""
        previous = _status(body)
        if current == previous:
            return
        metadata = body["metadata"]
        try:
            self.observe(await self._cluster.apply_status(body, current))
        except ApiError as error:
            if error.status != 404:
                raise
            self.forget((metadata["namespace"], metadata["name"]), metadata["uid"])
            return
        for kind, reason, message in status.transitions(previous, current):
            await self._cluster.post_event(body, kind, reason, message)

    async def _report_unreachable(self, pipeline: Pipeline, body: Object, error: ApiError) -> None:
        """Best effort: whoever looks sees why nothing moves. The pass itself is tried again with backoff."""
        children = self._children.of((pipeline.namespace, pipeline.name))
        problem = Problem("ReconcileError", str(error))
        try:
            await self._report(body, status.of_pipeline(pipeline, children, problem, _status(body), _now(), self._release.version))
        except ApiError as second:
            logger.debug("Could not report %s: %s", error, second)


def _stored_credentials(pipeline: Pipeline, component: Component, live: Live) -> dict[str, str]:
    secret = live.get(("Secret", names.child_name(pipeline.name, component)))
    return {key: value for key, value in decode(secret).items() if value} if secret else {}


def _refuse_new_key_to_old_data(pipeline: Pipeline, component: Component, data: dict[str, str], live: Live) -> None:
    name = names.child_name(pipeline.name, component)
    volume = f"data-{name}-0"
    if (lost := missing_keys(component, data)) and ("PersistentVolumeClaim", volume) in live:
        raise Blocked(
            Problem(
                "SecretNotFound",
                f"Secret {name} lacks {', '.join(lost)}, but PersistentVolumeClaim {volume} holds data that only the old value opens. "
                "Restore the Secret from a backup, or delete the claim to start empty.",
            )
        )


def _refuse_foreign(pipeline: Pipeline, wanted: list[Object], live: Live) -> None:
    for child in wanted:
        there = live.get(_key(child))
        if there is None or (owner := _owner(there)).get("uid") == pipeline.uid:
            continue
        if owner.get("kind") == names.KIND and owner.get("name") == pipeline.name:
            message = f"{child['kind']} {child['metadata']['name']} of the deleted pipeline of this name is still being removed."
            raise Blocked(Problem("Progressing", message))
        if owner or not _is_retained(there):
            raise Blocked(_conflict(child, "its owner is not this pipeline"))


def _is_retained(there: Object) -> bool:
    """Credentials that an earlier pipeline of this name left behind; they have no owner and are adopted."""
    labels: dict[str, str] = there["metadata"].get("labels", {})
    return there["kind"] == "Secret" and labels.get(names.MANAGED_BY_LABEL) == names.MANAGER


def _conflict(child: Object, why: str) -> Problem:
    kind, name = child["kind"], child["metadata"]["name"]
    return Problem("Conflict", f"{kind} {name} exists and is not this pipeline's: {why}. Rename the pipeline, or remove that {kind}.")


def _key(child: Object) -> tuple[str, str]:
    return child["kind"], child["metadata"]["name"]


def _owner(child: Object) -> dict[str, Any]:
    owners: list[dict[str, Any]] = child["metadata"].get("ownerReferences", [])
    return next((owner for owner in owners if owner.get("controller")), {})


def _status(body: Object) -> Object:
    return dict(body.get("status") or {})


def _version(body: Object) -> int:
    return int(body["metadata"]["resourceVersion"])


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
