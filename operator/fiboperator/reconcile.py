"""The story of one pass: from a FibPipeline to its children and back to its status."""

import asyncio
import datetime
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, NamedTuple

from . import credentials, custody, evidence, external, health, names, rollouts, status, volumes
from .applied import is_applied, stamped
from .autoscale import Reading
from .children import Change, Children, PipelineKey, of_component
from .cluster import Cluster
from .contention import DELETED, EDITED, Contention
from .errors import ApiError, Taken
from .evidence import LOOK_AGAIN_SECONDS, Secrets
from .guards import (
    Blocked,
    Live,
    adopting,
    conflict,
    host_taken,
    is_of_other_class,
    key_of,
    owner,
    refusal,
    refuse_foreign,
)
from .health import Verdict
from .kinds import APPLIED_KINDS
from .names import Component
from .resources import Context, Object, Release, desired
from .scaling import Loads, Scaling
from .spec import InvalidSpec, Pipeline, parse, scaling_entries
from .status import Problem

# A permanent refusal may be lifted by a person who changes something that no watch of ours shows (RBAC, a quota).
SLOW_RETRY_SECONDS = 60.0
OPENSHIFT_GROUP = "security.openshift.io"
# Secrets before pods: no pod ever starts, and no volume is ever initialised, with a password that was not kept. Nor is a pod refused for
# want of its ServiceAccount, after which its controller would wait longer and longer, should we be killed in between.
APPLIED_IN_ORDER = (("Secret", "ConfigMap", "ServiceAccount"), ("StatefulSet", "Deployment", "HorizontalPodAutoscaler"))

logger = logging.getLogger(__name__)


class Outdated(Exception):
    """The pass began with less than the present state: another one must follow at once."""


class Outcome(NamedTuple):
    """How bringing the children to the spec ended."""

    problem: Problem | None = None
    """What blocks the pipeline."""
    failure: ApiError | None = None
    """What to back off from."""
    retry: float | None = None
    """The delay of a slow retry in seconds."""
    unexposed: Problem | None = None
    """Why the Ingress could not be written."""


class Reconciler:
    """Brings pipelines to what their specs say. One pass at a time for each; it keeps no memory of its own between passes."""

    def __init__(
        self, cluster: Cluster, children: Children, release: Release, trouble: Callable[[], ApiError | None], loads: Loads
    ) -> None:
        self._cluster = cluster
        self._children = children
        self._release = release
        self._trouble = trouble
        self._scaling = Scaling(cluster, children, loads)
        self._contention = Contention()
        self._openshift: bool | None = None
        self.pipelines: dict[PipelineKey, Object] = {}

    def observe(self, body: Object) -> Change | None:
        """Take in a FibPipeline; returns what that changes, if anything."""
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        known = self.pipelines.get(key)
        same = known if known and known["metadata"]["uid"] == metadata["uid"] else None
        # Defaults are filled in when the API server reads an object: a new CRD changes the spec and not the resource version.
        equal = same is not None and same.get("spec") == body.get("spec")
        if same and (_version(same) > _version(body) or (_version(same) == _version(body) and equal)):
            return None
        self.pipelines[key] = {**body, "metadata": {**metadata, "managedFields": scaling_entries(metadata)}}
        return Change(key, reported=same is not None and equal and same["metadata"]["generation"] == metadata["generation"])

    def heads(self) -> dict[PipelineKey, tuple[str, int]]:
        """The uid and generation of each FibPipeline that is known."""
        return {key: (body["metadata"]["uid"], body["metadata"]["generation"]) for key, body in self.pipelines.items()}

    def forget(self, key: PipelineKey, uid: str) -> None:
        """Drop a FibPipeline that is gone; a successor under the same name stays."""
        if key in self.pipelines and self.pipelines[key]["metadata"]["uid"] == uid:
            del self.pipelines[key]
            self._scaling.forget(key)
            self._children.hosts.forget(key)
            self._contention.forget(key)

    def rest(self, key: PipelineKey) -> None:
        """Another operator works on it, or may: ask its API for nothing and tell it nothing."""
        self._scaling.forget(key)
        self._contention.forget(key)

    async def leave(self, key: PipelineKey, me: str, other: str, lease: str) -> None:
        """Say that a pipeline is left to another install, unless it is said."""
        body = self.pipelines.get(key)
        if body and (said := custody.left(body, me, other, lease, _now())):
            self.observe(await self._cluster.apply_aside(body, said, custody.MANAGER))

    async def claim(self, key: PipelineKey, me: str) -> None:
        """Take back what `leave` said, if it stands there: we work on it."""
        body = self.pipelines.get(key)
        if body and custody.is_over(body, me):
            self.observe(await self._cluster.apply_aside(body, {}, custody.MANAGER))

    async def __call__(self, key: PipelineKey) -> float | None:
        """One pass. Returns the delay until the next in seconds, or None: when something changes."""
        body = self.pipelines.get(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None  # the garbage collector removes what it owned
        try:
            pipeline = parse(body)
        except InvalidSpec as error:
            return await self._wait_for_other_crd(body, error)
        reading = self._scaling.reading(pipeline)
        try:
            secrets = await evidence.look_at_secrets(self._cluster, pipeline)
            outcome = await self._converge(pipeline, body, reading, secrets)
        except Outdated:
            return 0.0
        if key not in self.pipelines:
            return None
        children, previous, now = self._children.of(key), _status(body), _now()
        found = await evidence.gather(self._cluster, pipeline, children, now, secrets)
        if unexposed := self._host_taken(pipeline) or outcome.unexposed:
            found = replace(found, unexposed=Verdict(False, unexposed.reason, unexposed.message))
        found = replace(
            found,
            broker=reading.load.broker if reading.load else None,
            blind=self._trouble() is not None and outcome.problem is not None,
        )
        workers, later = self._scaling.tell(pipeline, reading, children, found.told, status.verdict(previous, "AutoscalingActive"), now)
        current = status.of_pipeline(pipeline, children, found, outcome.problem, workers, previous, now, self._release.version)
        edited = await self._report(body, current)
        if outcome.failure:
            raise outcome.failure
        if edited:
            return 0.0
        return min((delay for delay in (outcome.retry, found.retry, later) if delay is not None), default=None)

    async def _wait_for_other_crd(self, body: Object, invalid: InvalidSpec) -> float:
        """Report a spec that cannot be read, unless it can by now: no event tells of defaults that a new CRD has filled in."""
        metadata = body["metadata"]
        now = await self._cluster.read(names.KIND, metadata["namespace"], metadata["name"])
        if now and self.observe(now):
            return 0.0
        problem = Problem("InvalidSpec", str(invalid))
        edited = await self._report(body, status.of_unreadable(metadata["generation"], problem, _status(body), _now()))
        return 0.0 if edited else SLOW_RETRY_SECONDS

    async def _converge(self, pipeline: Pipeline, body: Object, reading: Reading, secrets: Secrets) -> Outcome:
        """Bring the children to the spec."""
        unexposed = None
        try:
            if error := self._trouble():
                raise error
            if not pipeline.spec.paused:
                _refuse_missing_services(pipeline, secrets)
                unexposed = await self._write_children(pipeline, body, reading, secrets)
        except Blocked as blocked:
            return Outcome(blocked.problem, retry=SLOW_RETRY_SECONDS if blocked.retry is None else blocked.retry)
        except ApiError as error:
            if error.permanent:
                return Outcome(refusal(error), retry=SLOW_RETRY_SECONDS)
            return Outcome(Problem("ReconcileError", str(error)), failure=error)
        return Outcome(unexposed=unexposed, retry=SLOW_RETRY_SECONDS if unexposed else None)

    async def _platform_release(self) -> Release:
        """The release as this cluster needs it. Looks once in the life of the process.

        OpenShift's SecurityContextConstraints refuse each user id outside of the namespace's range and fill in a missing one:
        https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html
        """
        if self._openshift is None:
            self._openshift = await self._cluster.has_api_group(OPENSHIFT_GROUP)
        return replace(self._release, sets_ids=False) if self._openshift else self._release

    def _host_taken(self, pipeline: Pipeline) -> Problem | None:
        """The problem of a host that another pipeline's Ingress serves already; None when this one may have it."""
        key, ingress, hosts = (pipeline.namespace, pipeline.name), pipeline.spec.ingress, self._children.hosts
        if not ingress.enabled:
            hosts.forget(key)
            return None
        holder = hosts.holder(key, ingress.host, ingress.class_name)
        return host_taken(pipeline, holder) if holder else None

    async def _write_children(self, pipeline: Pipeline, body: Object, reading: Reading, secrets: Secrets) -> Problem | None:
        """Write what differs. Returns why the Ingress was refused: that stops nothing else."""
        live = self._children.of((pipeline.namespace, pipeline.name))
        generated = await credentials.of_pipeline(self._cluster, pipeline, live, is_first=not _status(body))
        floor = self._scaling.floor(pipeline, reading, live)
        release = await self._platform_release()
        fingerprints = {component: secrets.fingerprints[name] for component, name in external.secret_names(pipeline).items()}
        taken = self._host_taken(pipeline) is not None
        context = Context(pipeline, generated, release, floor, taken, fingerprints, rollouts.cramped(live))
        wanted = desired(context)
        unwanted = _unwanted(pipeline, wanted, live)
        kept = external.still_needed(pipeline, wanted, live, unwanted)
        unwanted = [child for child in unwanted if child not in kept]
        if _status(body) or unwanted:  # not its first pass: what is missing was there before, or a watch is behind
            await self._look_again(pipeline, [child for child in wanted if key_of(child) not in live], unwanted, live)
        refuse_foreign(pipeline, wanted, live)
        wanted, refused = await self._grow_volumes(wanted, live)
        wanted = [stamped(child) for child in wanted]
        differing = [child for child in wanted if volumes.can_be_applied(child, live) and not is_applied(child, live.get(key_of(child)))]
        changed = await self._due(pipeline, differing, live)
        await self._scaling.keep_busy(pipeline, reading, live, floor)
        in_order = {kind for kinds in APPLIED_IN_ORDER for kind in kinds} | {"Ingress"}
        unexposed: list[Problem] = []
        await _all_of(
            self._apply([child for child in changed if child["kind"] not in in_order], live),
            self._apply_workloads(pipeline, changed, live, floor),
            self._apply_ingress([child for child in changed if child["kind"] == "Ingress"], live, unexposed),
        )
        # Before the deletions: a StatefulSet of an earlier release takes its claim along until the claim has another owner or none.
        await _all_of(*(self._cluster.amend(claim, metadata) for claim, metadata in volumes.amendments(pipeline, live)))
        await asyncio.gather(*(self._cluster.delete(child) for child in unwanted))
        await self._replace_stuck_pods(live)
        if refused:
            raise Blocked(refused)
        waiting = {key_of(child) for child in differing} - {key_of(child) for child in changed}
        if contest := self._contention.settle((pipeline.namespace, pipeline.name), waiting):
            raise Blocked(contest.problem, contest.retry)
        return next(iter(unexposed), None)

    async def _due(self, pipeline: Pipeline, differing: list[Object], live: Live) -> list[Object]:
        """Those children that are to be written now: not one whose repairs somebody undoes again and again, until its pause is over."""
        key, due = (pipeline.namespace, pipeline.name), []
        for child in differing:
            how = EDITED if key_of(child) in live else DELETED
            if self._contention.is_contested(key, child, how):
                there = await self._cluster.read(child["kind"], pipeline.namespace, child["metadata"]["name"])
                if (there is None) == (how == DELETED):
                    self._contention.blame(key, child, there)
            if self._contention.is_due(key, child, how):
                due.append(child)
        return due

    async def _look_again(self, pipeline: Pipeline, missing: list[Object], unwanted: list[Object], live: Live) -> None:
        """Before anything is made again or deleted: is it really gone, and the pipeline really still as we know it?

        Making children for a deleted pipeline would set us against the garbage collector, and what an old spec did not want, the present
        one may. Raises Outdated when the pipeline is newer or its credentials are there after all, Blocked when it is gone.
        """
        if not missing and not unwanted:
            return
        now = await self._cluster.read(names.KIND, pipeline.namespace, pipeline.name)
        if now is None or now["metadata"]["uid"] != pipeline.uid:
            self.forget((pipeline.namespace, pipeline.name), pipeline.uid)
            raise Blocked(Problem("Gone", "The FibPipeline was deleted."))
        if now["metadata"]["generation"] > pipeline.generation:
            self.observe(now)
            raise Outdated
        found = await asyncio.gather(
            *(self._cluster.read(child["kind"], pipeline.namespace, child["metadata"]["name"]) for child in missing)
        )
        news = [there for there in found if there is not None and self._children.put(there)]
        if any(there["kind"] == "Secret" for there in news):
            raise Outdated  # what is wanted was made with new passwords in place of those
        for there in found:
            if there is not None:
                live[key_of(there)] = there

    async def _apply_workloads(self, pipeline: Pipeline, changed: list[Object], live: Live, floor: int) -> None:
        """Apply pods after what they need, and see to the number of workers."""
        for kinds in APPLIED_IN_ORDER:
            await self._apply([child for child in changed if child["kind"] in kinds], live)
        await self._scaling.raise_workers(pipeline, floor)

    async def _apply(self, children: list[Object], live: Live) -> None:
        await _all_of(*(self._apply_one(child, live.get(key_of(child))) for child in children))

    async def _apply_one(self, child: Object, there: Object | None) -> None:
        try:
            with self._children.writing(child):
                made = await (self._cluster.create(child) if there is None else self._cluster.apply(adopting(child, there)))
        except Taken as error:
            raise Blocked(conflict(child, str(error))) from error
        self._contention.repaired(
            (child["metadata"]["namespace"], str(names.pipeline_of(child))), child, DELETED if there is None else EDITED, made
        )
        self._children.put(made)  # at once: then the watch's echo of it is no news

    async def _apply_ingress(self, ingresses: list[Object], live: Live, unexposed: list[Problem]) -> None:
        """Apply the Ingress. A refusal goes to `unexposed` and stops nothing else, because `Exposed` is no part of `Ready`."""
        try:
            for child in ingresses:
                there = live.get(key_of(child))
                if there and is_of_other_class(child, there):
                    await self._cluster.delete(there)
                    del live[key_of(child)]
            await self._apply(ingresses, live)
        except ApiError as error:
            if not error.permanent:
                raise
            unexposed.append(refusal(error))

    async def _grow_volumes(self, wanted: list[Object], live: Live) -> tuple[list[Object], Problem | None]:
        """Bring the volumes to their sizes. Returns what can be applied now, and the first refusal: it stops nothing else."""
        grown = {key_of(child): await volumes.grow(self._cluster, child, live) for child in wanted if child["kind"] == "StatefulSet"}
        refused = [problem for _, problem in grown.values() if problem]
        return [grown[key_of(child)][0] if key_of(child) in grown else child for child in wanted], next(iter(refused), None)

    async def _replace_stuck_pods(self, live: Live) -> None:
        """Delete what keeps a mended StatefulSet from going on; see `health.stuck_pods`."""
        stuck = [
            pod
            for component in (Component.RABBITMQ, Component.POSTGRESQL)
            for stateful_set in of_component(live, "StatefulSet", component)
            for pod in health.stuck_pods(stateful_set, of_component(live, "Pod", component))
        ]
        await asyncio.gather(*(self._cluster.delete(pod) for pod in stuck))

    async def _report(self, body: Object, current: Object) -> bool:
        """Write the status if it differs from the one that is there, and tell of what flipped.

        Returns whether the reply brought an edit that no watch has shown yet: the watch will bring nothing newer than the reply, so the
        edit must be acted on now.
        """
        previous = _status(body)
        if current == previous:
            return False
        metadata = body["metadata"]
        try:
            change = self.observe(await self._cluster.apply_status(body, current))
        except ApiError as error:
            if error.status != 404:
                raise
            self.forget((metadata["namespace"], metadata["name"]), metadata["uid"])
            return False
        for kind, reason, message in status.transitions(previous, current):
            await self._tell(body, kind, reason, message)
        return change is not None and not change.reported

    async def _tell(self, body: Object, kind: str, reason: str, message: str) -> None:
        """Post an Event. What it says stands in the status too, so no pass fails for want of it."""
        try:
            await self._cluster.post_event(body, kind, reason, message)
        except ApiError as error:
            logger.warning("%s", error)


async def _all_of(*actions: Coroutine[Any, Any, None]) -> None:
    """Do all of this at once, and all of it whatever fails; raises the first failure at the end."""
    for outcome in await asyncio.gather(*actions, return_exceptions=True):
        if outcome is not None:
            raise outcome


def _refuse_missing_services(pipeline: Pipeline, secrets: Secrets) -> None:
    """Raise Blocked when the Secret of an external service is missing or wrong, or cannot be looked at.

    Before anything is written: pods of a template that names it could not start, and what it was to replace would be deleted for nothing.
    """
    for component, secret in external.secret_names(pipeline).items():
        if lack := secrets.lacking.get(secret):
            raise Blocked(status.external_lack(pipeline, component, secret, lack), LOOK_AGAIN_SECONDS)
        if why := secrets.unseen.get(secret):
            raise Blocked(Problem("ReconcileError", why), LOOK_AGAIN_SECONDS)


def _unwanted(pipeline: Pipeline, wanted: list[Object], live: Live) -> list[Object]:
    """What this pipeline owns and no longer wants. Credentials are never among it."""
    keys = {key_of(child) for child in wanted}
    return [
        child
        for key, child in live.items()
        if key not in keys and key[0] in APPLIED_KINDS and key[0] != "Secret" and owner(child).get("uid") == pipeline.uid
    ]


def _status(body: Object) -> Object:
    return custody.own(dict(body.get("status") or {}))


def _version(body: Object) -> int:
    return int(body["metadata"]["resourceVersion"])


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
