"""What keeps pods from getting ready, named with the object and what to do about it: pure functions from live objects to a sentence."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import names
from .children import ChildKey, of_component
from .errors import QUOTA_EXCEEDED, QUOTA_REMEDY
from .resources.objects import Object

# What Events say of objects whose own status does not tell their trouble.
Told = Mapping[ChildKey, str]

_PULL: Final = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")
_CREATION: Final = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
# The words of a LimitRange, and of a ResourceQuota that counts what no pod of ours asks for.
_LIMITS: Final = re.compile(r"(minimum|maximum) \S+ usage per |max limit to request ratio per |failed quota: ")
# One restart may be a node's; the second is a loop.
LOOP_RESTARTS: Final = 2


@dataclass(frozen=True)
class Blockage:
    """A reason for programs and a sentence for people."""

    reason: str
    message: str


def blockage(live: Object, pods: Iterable[Object], volumes: Iterable[Object], told: Told) -> Blockage | None:
    """What is in the way of a Deployment or StatefulSet; None when it is only a matter of time."""
    if refused := _refused_pod(live, told):
        return refused
    pods = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    pending = [volume for volume in volumes if volume.get("status", {}).get("phase") == "Pending"]
    for pod in pods:
        if pending and (message := unschedulable(pod)) and _is_about_volumes(message):
            return _pending_volume(pending[0], told.get(_key(pending[0]), message))
        if blocked := blocked_pod(pod, told) or _lost(pod):
            return blocked
    if pending and not any(not pod["spec"]["nodeName"] for pod in pods):
        return _pending_volume(pending[0], told.get(_key(pending[0]), ""))
    return None


def unexplained(live: Mapping[ChildKey, Object]) -> list[Object]:
    """The objects that are in trouble without saying why: only Events tell. None of them is in a pipeline that is well."""
    silent = [child for child in live.values() if child["kind"] == "StatefulSet" and _lacks_its_pod(child)]
    for pod in (child for child in live.values() if child["kind"] == "Pod"):
        if _is_not_set_up(pod):
            silent.append(pod)
        elif (message := unschedulable(pod)) and _is_about_volumes(message):
            claims = of_component(live, "PersistentVolumeClaim", pod["metadata"]["labels"][names.COMPONENT_LABEL])
            silent.extend(claim for claim in claims if claim.get("status", {}).get("phase") == "Pending")
    return silent


def blocked_pod(pod: Object, told: Told) -> Blockage | None:
    """Why a pod does not run, when that does not go away by itself or only after somebody acted."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if message := unschedulable(pod):
        lacking = message.partition(" preemption:")[0]
        return Blockage("Unschedulable", f"Pod {name} fits on no node: {lacking} Free or add nodes, or ask for less in the spec.")
    for container in status.get("initContainerStatuses", []):
        if why := _trouble(container, is_init=True):
            return Blockage("Degraded", f"Pod {name}, container {container['name']}: {why}")
    for container in status.get("containerStatuses", []):
        if why := _trouble(container, is_init=False):
            return Blockage("Degraded", f"Pod {name}, container {container['name']}: {why}")
    if _is_not_set_up(pod) and (note := told.get(_key(pod))):
        return Blockage("Degraded", f"Pod {name} cannot be set up on its node: {note}")
    return None


def _lost(pod: Object) -> Blockage | None:
    # Only a node's controller calls a pod unready whose containers were ready when the node was last heard of.
    deserted = _condition(pod, "Ready").get("status") == "False" and _condition(pod, "ContainersReady").get("status") == "True"
    leaving = "deletionTimestamp" in pod["metadata"]
    if not deserted or (leaving and _condition(pod, "DisruptionTarget").get("reason") != "DeletionByTaintManager"):
        return None
    name, node = pod["metadata"]["name"], pod["spec"]["nodeName"]
    remedy = f"Bring it back or, if it is gone for good, run kubectl delete node {node}."
    return Blockage("NodeLost", f"Node {node} with pod {name} does not answer. {remedy}")


def unschedulable(pod: Object) -> str:
    """What the scheduler says of a pod that fits on no node; empty for any other pod."""
    condition = _condition(pod, "PodScheduled")
    return str(condition.get("message", "")) or "no reason given." if condition.get("reason") == "Unschedulable" else ""


def _refused_pod(live: Object, told: Told) -> Blockage | None:
    condition = _condition(live, "ReplicaFailure")
    why = str(condition.get("message", "pods cannot be created")) if condition.get("status") == "True" else ""
    if _lacks_its_pod(live):
        why = told.get(_key(live), "")
    if not why:
        return None
    # A ReplicaSet tries again under another name each time: with it in the sentence every attempt would be news.
    lasting = re.sub(r'pods "[^"]*" is forbidden', "its pod is refused", why)
    sentence = f"{live['kind']} {live['metadata']['name']}: {lasting}"
    if QUOTA_EXCEEDED in why:
        return Blockage("QuotaExceeded", f"{sentence}. {QUOTA_REMEDY}")
    if _LIMITS.search(why):
        return Blockage("Degraded", f"{sentence}. See kubectl get limitrange,resourcequota: change those, or the resources in the spec.")
    return Blockage("Degraded", sentence)


def _lacks_its_pod(live: Object) -> bool:
    # Its controller has seen it and counts no pod: one that it could make would be counted.
    status = live.get("status", {})
    return bool(
        live["kind"] == "StatefulSet"
        and status.get("observedGeneration") == live["metadata"].get("generation")
        and status.get("replicas") == 0
        and live["spec"].get("replicas", 1) > 0
    )


def _is_not_set_up(pod: Object) -> bool:
    status = pod.get("status", {})
    return (
        status.get("phase") == "Pending"
        and bool(pod["spec"]["nodeName"])
        and _condition(pod, "PodReadyToStartContainers").get("status") == "False"
    )


def _is_about_volumes(message: str) -> bool:
    return any(word in message.lower() for word in ("persistentvolumeclaim", "persistent volume", "storageclass"))


def _pending_volume(claim: Object, why: str) -> Blockage:
    name, storage_class = claim["metadata"]["name"], claim["spec"].get("storageClassName")
    known = f"class {storage_class}" if storage_class else "no class, and the cluster has no default StorageClass"
    because = f": {why.rstrip('.')}" if why else ""
    return Blockage(
        "VolumePending",
        f"PersistentVolumeClaim {name} waits for a volume ({known}){because}. See kubectl get storageclass,persistentvolume.",
    )


def _trouble(container: Object, *, is_init: bool) -> str:
    """Why a container does not run; empty while nothing is known to be wrong."""
    state, last = container.get("state", {}), container.get("lastState", {}).get("terminated", {})
    waiting = state.get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULL:
        # Kubernetes alternates between the two names of one state.
        reason = "ImagePullBackOff" if reason == "ErrImagePull" else reason
        return f"{reason} {container.get('image', '')}. Check the image's name and the cluster's access to it."
    if reason in _CREATION:
        return f"{reason}: {message}. Create what is missing, or correct the spec." if reason == _CREATION[0] else f"{reason}: {message}"
    # Between two crashes it runs for a while: without having got ready meanwhile it still is the same crash loop.
    trying = "terminated" in state or ("running" in state and not container.get("ready") and (is_init or not container.get("started")))
    if reason == "CrashLoopBackOff" or (trying and last.get("exitCode") and container.get("restartCount", 0) >= LOOP_RESTARTS):
        return _crash(last)
    return ""


def _crash(last: dict[str, Any]) -> str:
    if last.get("reason") == "OOMKilled":
        return "CrashLoopBackOff, OOMKilled: it needs more memory than its limit. Raise resources.limits.memory."
    why = (last.get("message") or last.get("reason") or "no reason given").strip().splitlines() or ["no reason given"]
    return f"CrashLoopBackOff, exit code {last.get('exitCode', '?')}: {why[-1]}. See kubectl logs --previous."


def _condition(live: Object, kind: str) -> dict[str, Any]:
    return next((condition for condition in live.get("status", {}).get("conditions", []) if condition["type"] == kind), {})


def _key(live: Object) -> ChildKey:
    return live["kind"], live["metadata"]["name"]
