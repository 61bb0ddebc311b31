"""Readiness of one component, by the rules of kstatus: pure functions from live objects to a verdict and a sentence."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .resources.objects import Object

# Waiting reasons that do not go away by themselves, or only after somebody acted.
_BLOCKED = (
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "CrashLoopBackOff",
    "RunContainerError",
)


@dataclass(frozen=True)
class Verdict:
    """Whether a component is ready, why, and the sentence for a person."""

    ready: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Workload:
    """A component's workload as numbers: pods wanted, ready, and of the newest template."""

    wanted: int
    ready: int
    updated: int

    @property
    def ratio(self) -> str:
        return f"{self.ready}/{self.wanted}"


def numbers(live: Object | None) -> Workload:
    """The replica numbers of a live Deployment or StatefulSet; zeros while it does not exist."""
    if live is None:
        return Workload(0, 0, 0)
    status = live.get("status", {})
    return Workload(live["spec"].get("replicas", 1), status.get("readyReplicas", 0), status.get("updatedReplicas", 0))


def workload(kind: str, name: str, live: Object | None, pods: Iterable[Object], volumes: Iterable[Object], enough: int) -> Verdict:
    """The verdict on a Deployment or StatefulSet with its pods and claims.

    `enough` is how many ready pods make it ready: for workers the floor, so that scaling up is not a failure.
    """
    if live is None:
        return Verdict(False, "Progressing", f"{kind} {name} does not exist yet.")
    if "deletionTimestamp" in live["metadata"]:
        return Verdict(False, "Progressing", f"{kind} {name} is being deleted and will be made anew.")
    if live.get("status", {}).get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return Verdict(False, "Progressing", f"{kind} {name} has a change that Kubernetes has not seen yet.")
    count = numbers(live)
    rolled_out = count.updated >= count.wanted or _is_rolled_out(live)
    if count.ready >= min(enough, count.wanted) and count.wanted >= enough and rolled_out:
        return Verdict(True, "Available", f"{count.ready} of {count.wanted} pods are ready.")
    blocked = blocking(live, pods, volumes)
    if blocked:
        return blocked
    if not rolled_out:
        return Verdict(False, "Progressing", f"{kind} {name}: {count.updated} of {count.wanted} pods are of the newest version.")
    return Verdict(False, "Progressing", f"{kind} {name}: {count.ready} of {max(count.wanted, enough)} pods are ready.")


def _is_rolled_out(live: Object) -> bool:
    # A StatefulSet's updatedReplicas is 0 when no update is under way: its two revisions tell.
    status = live.get("status", {})
    return "currentRevision" in status and status.get("currentRevision") == status.get("updateRevision")


def blocking(live: Object, pods: Iterable[Object], volumes: Iterable[Object]) -> Verdict | None:
    """What keeps the pods from getting ready, named with the object and what to do; None when it is only a matter of time."""
    for condition in live.get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Verdict(
                False, "Degraded", f"{live['kind']} {live['metadata']['name']}: {condition.get('message', 'pods cannot be created')}"
            )
    pods = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    for pod in pods:
        if verdict := _blocked_pod(pod):
            return verdict
    for volume in volumes:
        if volume.get("status", {}).get("phase") == "Pending" and not _has_unscheduled(pods):
            storage_class = volume["spec"].get("storageClassName")
            wanted = f"class {storage_class}" if storage_class else "no class, and the cluster has no default StorageClass"
            return Verdict(
                False,
                "VolumePending",
                f"PersistentVolumeClaim {volume['metadata']['name']} waits for a volume ({wanted}); see kubectl get storageclass.",
            )
    return None


def stuck_pods(stateful_set: Object, pods: Iterable[Object]) -> list[Object]:
    """The pods that cannot run and are of an older template than the StatefulSet has now.

    Kubernetes waits for them to become ready before it replaces them, which never happens (kubernetes#67250).
    """
    status = stateful_set.get("status", {})
    if status.get("observedGeneration", 0) < stateful_set["metadata"].get("generation", 0):
        return []
    newest = status.get("updateRevision")
    return [
        pod
        for pod in pods
        if pod["metadata"]["labels"].get("controller-revision-hash") != newest
        and "deletionTimestamp" not in pod["metadata"]
        and _blocked_pod(pod) is not None
    ]


def _has_unscheduled(pods: Iterable[Object]) -> bool:
    return any(not pod["spec"]["nodeName"] for pod in pods)


def _blocked_pod(pod: Object) -> Verdict | None:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and condition.get("reason") == "Unschedulable":
            return Verdict(False, "Unschedulable", f"Pod {name} fits on no node: {condition.get('message', '')}")
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in _BLOCKED:
            return Verdict(False, "Degraded", f"Pod {name}, container {container['name']}: {_waiting(container, waiting)}")
    return None


def _waiting(container: Object, waiting: dict[str, Any]) -> str:
    reason = waiting["reason"]
    if reason in ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"):
        return f"{reason} {container.get('image', '')}. Check the image's name and the cluster's access to it."
    if reason == "CrashLoopBackOff":
        last = container.get("lastState", {}).get("terminated", {})
        why = last.get("message") or last.get("reason") or "no reason given"
        return f"CrashLoopBackOff, exit code {last.get('exitCode', '?')}: {why.strip().splitlines()[-1]}. See kubectl logs --previous."
    return f"{reason}: {waiting.get('message', '')}"


def exposure(live: Object | None, port_forward: str) -> Verdict:
    """Whether the Ingress has an address."""
    if live is None:
        return Verdict(False, "Progressing", "The Ingress does not exist yet.")
    address = ingress_address(live)
    if address:
        return Verdict(True, "AddressAssigned", f"Ingress {live['metadata']['name']} is served at {address}.")
    return Verdict(False, "NoAddress", f"Ingress {live['metadata']['name']} has no address yet. Until then: {port_forward}")


def ingress_address(live: Object | None) -> str:
    """The first address that the controller reported; empty when there is none."""
    entries = ((live or {}).get("status", {}).get("loadBalancer", {}) or {}).get("ingress") or []
    return next((entry.get("hostname") or entry.get("ip") or "" for entry in entries), "")


def autoscaling(live: Object | None) -> Verdict:
    """Whether the HorizontalPodAutoscaler works."""
    if live is None:
        return Verdict(False, "Progressing", "The HorizontalPodAutoscaler does not exist yet.")
    conditions = {condition["type"]: condition for condition in live.get("status", {}).get("conditions", [])}
    for kind in ("AbleToScale", "ScalingActive"):
        condition = conditions.get(kind)
        if condition is None:
            return Verdict(False, "Progressing", "The HorizontalPodAutoscaler has not looked at the workers yet.")
        if condition["status"] != "True":
            return Verdict(False, condition.get("reason", "ScalingInactive"), f"{condition.get('message', '')}. Is metrics-server running?")
    return Verdict(True, "ScalingActive", _autoscaling_sentence(live))


def _autoscaling_sentence(live: Object) -> str:
    # No measured CPU in it: a figure that moves every 15 seconds would be a write every 15 seconds.
    spec, desired = live["spec"], live.get("status", {}).get("desiredReplicas", 0)
    target = spec["metrics"][0]["resource"]["target"]["averageUtilization"]
    return f"{desired} of {spec['minReplicas']}-{spec['maxReplicas']} workers, for a CPU use of {target} %."
