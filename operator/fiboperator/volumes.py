"""Volumes: they grow, and they go with the FibPipeline and with nothing else.

A StatefulSet's volumeClaimTemplates are immutable, and Kubernetes never applies them to claims that exist. So the claim is patched first;
only when the API server has accepted that, the StatefulSet is deleted without its pod and created again.
"""

from collections.abc import Mapping
from typing import Final

from kubernetes.utils.quantity import parse_quantity

from . import guards, names
from .applied import stands_in
from .children import ChildKey
from .cluster import Cluster
from .errors import ApiError
from .names import Component
from .resources.objects import Object, owner_reference
from .spec import Pipeline
from .status import Problem

# The components that have one.
STATEFUL: Final = (Component.RABBITMQ, Component.POSTGRESQL)


def amendments(pipeline: Pipeline, live: Mapping[ChildKey, Object]) -> list[tuple[Object, Object]]:
    """The claims whose metadata is not as it should be, each with what to merge into it.

    With `deletionPolicy: Delete` the FibPipeline owns them, otherwise none does. The references of other owners stay. What is being deleted
    is left alone.
    """
    claims = [live.get(("PersistentVolumeClaim", names.claim_name(pipeline.name, component))) for component in STATEFUL]
    found = [(claim, _amendment(pipeline, claim)) for claim in claims if claim is not None and not is_leaving(claim)]
    return [(claim, amendment) for claim, amendment in found if amendment]


def _amendment(pipeline: Pipeline, claim: Object) -> Object:
    owners = claim["metadata"].get("ownerReferences") or []
    # A StatefulSet of an earlier release took its claim along, and adds itself again only if it still does.
    desired = [owner for owner in owners if owner["kind"] not in (names.KIND, "StatefulSet")]
    if pipeline.spec.deletion_policy == "Delete":
        # Not as its controller: a StatefulSet of an earlier release leaves a claim alone that something else controls.
        # https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/statefulset/stateful_set_utils.go
        desired = [*desired, {key: value for key, value in owner_reference(pipeline).items() if isinstance(value, str)}]
    marks = claim["metadata"].get("annotations") or {}
    return {
        **({"ownerReferences": desired} if desired != owners else {}),
        **({"annotations": names.NEVER_PRUNED} if not names.NEVER_PRUNED.items() <= marks.items() else {}),
    }


async def grow(cluster: Cluster, wanted: Object, live: Mapping[ChildKey, Object]) -> tuple[Object, Problem | None]:
    """Give the claim of a wanted StatefulSet its size, and delete a StatefulSet that is of another one, leaving its pod.

    Returns the StatefulSet as it can be applied now, and why its volume did not grow. Costs nothing when all sizes are right.
    """
    there = live.get(("StatefulSet", wanted["metadata"]["name"]))
    claim = small_claim(wanted, live)
    if claim is not None:
        if claim.get("status", {}).get("phase") != "Bound":
            return _as_before(wanted, there), None  # only a bound one can grow, and it says itself why it is not
        try:
            await cluster.grow(claim, size(wanted))
        except ApiError as error:
            if not error.permanent:
                raise
            return _as_before(wanted, there), refusal(claim, error)
    if there is not None and not is_leaving(there):
        if _same_templates(wanted, there):
            return _marked_as_before(wanted, there), None
        await cluster.delete(there, propagation="Orphan")
    return wanted, None


def size(stateful_set: Object) -> str:
    """The size of the volume, e.g. `10Gi`."""
    return str(_storage(stateful_set["spec"]["volumeClaimTemplates"][0]))


def small_claim(wanted: Object, live: Mapping[ChildKey, Object]) -> Object | None:
    """The claim of a wanted StatefulSet that exists and asks for less than it should."""
    template = wanted["spec"]["volumeClaimTemplates"][0]
    claim = live.get(("PersistentVolumeClaim", f"{template['metadata']['name']}-{wanted['metadata']['name']}-0"))
    if claim is None or is_leaving(claim) or parse_quantity(_storage(claim)) >= parse_quantity(size(wanted)):
        return None
    return claim


def can_be_applied(wanted: Object, live: Mapping[ChildKey, Object]) -> bool:
    """Whether the object is neither being deleted nor, as a StatefulSet, of other volumes: then it is made anew once it is gone."""
    there = live.get((wanted["kind"], wanted["metadata"]["name"]))
    if there is None:
        return True
    return not is_leaving(there) and (wanted["kind"] != "StatefulSet" or _same_templates(wanted, there))


def is_leaving(there: Object) -> bool:
    """Whether the object is being deleted."""
    return "deletionTimestamp" in there["metadata"]


def refusal(claim: Object, error: ApiError) -> Problem:
    """Why a volume stays as small as it is, and what to do."""
    problem = guards.refusal(error)
    if problem.reason != "Refused":
        return problem
    name, storage_class = claim["metadata"]["name"], claim["spec"].get("storageClassName")
    allow = f"kubectl patch storageclass {storage_class} -p '{{\"allowVolumeExpansion\":true}}'"
    remedy = f"If its driver can expand volumes, allow it: {allow}." if storage_class else "Without a StorageClass no volume can grow."
    return Problem(
        "ExpansionRefused", f"PersistentVolumeClaim {name} (class {storage_class}) stays at {_storage(claim)}: {error}. {remedy}"
    )


def _as_before(wanted: Object, there: Object | None) -> Object:
    """The wanted StatefulSet with the volume size of the one that is there: everything else of it can still be applied."""
    if there is None:
        return wanted
    template = wanted["spec"]["volumeClaimTemplates"][0]
    resources = {"requests": {"storage": size(there)}}
    kept = {**template, "spec": {**template["spec"], "resources": resources}}
    return _marked_as_before({**wanted, "spec": {**wanted["spec"], "volumeClaimTemplates": [kept]}}, there)


def _same_templates(wanted: Object, there: Object) -> bool:
    """Whether the volumes would be the same. What marks them is no reason to make a StatefulSet again: see `amendments`."""
    specs, theirs = ([template["spec"] for template in each["spec"]["volumeClaimTemplates"]] for each in (wanted, there))
    return stands_in(specs, theirs)


def _marked_as_before(wanted: Object, there: Object) -> Object:
    """The wanted StatefulSet with the labels and annotations that an earlier release gave to its volumes: they are immutable there."""
    pairs = zip(wanted["spec"]["volumeClaimTemplates"], there["spec"]["volumeClaimTemplates"], strict=True)
    templates = [
        {**template, "metadata": {key: before["metadata"][key] for key in ("name", "labels", "annotations") if key in before["metadata"]}}
        for template, before in pairs
    ]
    return {**wanted, "spec": {**wanted["spec"], "volumeClaimTemplates": templates}}


def _storage(claim: Object) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])
