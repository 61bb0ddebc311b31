"""Readiness of one component, by the rules of kstatus: pure functions from live objects to a verdict and a sentence."""

from collections.abc import Iterable
from dataclasses import dataclass

from .blocking import Told, blockage, blocked_pod
from .growth import leaving, shortfall
from .resources.objects import Object


@dataclass(frozen=True)
class Verdict:
    """Whether a component is ready, why, and the sentence for a person."""

    ready: bool
    reason: str
    message: str
    known: bool = True
    """Whether anybody can know it now: otherwise the condition is `Unknown`, and nothing counts as ready."""


@dataclass(frozen=True)
class Workload:
    """A component's workload as numbers: pods wanted, ready, and of the newest template."""

    wanted: int
    ready: int
    updated: int
    available: int

    @property
    def ratio(self) -> str:
        return f"{self.ready}/{self.wanted}"


def numbers(live: Object | None) -> Workload:
    """The replica numbers of a live Deployment or StatefulSet; zeros while it does not exist."""
    if live is None:
        return Workload(0, 0, 0, 0)
    status = live.get("status", {})
    counts = (status.get(key, 0) for key in ("readyReplicas", "updatedReplicas", "availableReplicas"))
    return Workload(live["spec"].get("replicas", 1), *counts)


def workload(
    kind: str, name: str, live: Object | None, pods: Iterable[Object], volumes: Iterable[Object], enough: int, told: Told
) -> Verdict:
    """The verdict on a Deployment or StatefulSet with its pods and claims.

    `enough` is how many ready pods make it ready: for workers the floor, so that scaling up is not a failure. `told` is what Events
    say of objects that do not tell their trouble themselves.
    """
    if live is None:
        return Verdict(False, "Progressing", f"{kind} {name} does not exist yet.")
    if "deletionTimestamp" in live["metadata"]:
        return Verdict(False, "Progressing", f"{kind} {name} is being deleted and will be made anew.")
    if live.get("status", {}).get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return Verdict(False, "Progressing", f"{kind} {name} has a change that Kubernetes has not seen yet.")
    count = numbers(live)
    rolled_out = _is_rolled_out(live, count)
    volumes = list(volumes)
    if count.available >= enough and count.wanted >= enough and rolled_out:
        if warning := leaving(volumes):
            return Verdict(False, "VolumeTerminating", warning)
        if short := shortfall(volumes):
            return Verdict(not short.failed, "ExpansionFailed" if short.failed else "VolumeResizing", short.message)
        return Verdict(True, "Available", f"{count.ready} of {count.wanted} pods are ready.")
    if blocked := blockage(live, pods, volumes, told):
        return Verdict(False, blocked.reason, blocked.message)
    if count.updated < count.wanted and not rolled_out:
        lacking = f"{count.updated} of {count.wanted} pods are of the newest version."
    elif not rolled_out:
        lacking = "pods of an older version still serve, because those of the newest are not ready yet."
    else:
        lacking = f"{count.ready} of {max(count.wanted, enough)} pods are ready."
    if _missed_its_deadline(live):
        return Verdict(False, "Degraded", f"{kind} {name} makes no progress: {lacking} See kubectl describe and kubectl logs of its pods.")
    return Verdict(False, "Progressing", f"{kind} {name}: {lacking}")


def _is_rolled_out(live: Object, count: Workload) -> bool:
    """Whether no pod of an older template is left. That more pods are wanted than exist is no rollout: the workers are scaled."""
    status = live.get("status", {})
    if live["kind"] == "StatefulSet":  # its updatedReplicas is 0 when no update is under way: its two revisions tell
        return bool(status.get("currentRevision") == status.get("updateRevision") or count.updated >= count.wanted)
    # `updatedReplicas` counts pods that exist, ready or not, and an older pod stays until a newer one is ready. The rule of kstatus:
    # https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/status/core.go
    return bool(status.get("replicas", 0) <= count.updated)


def _missed_its_deadline(live: Object) -> bool:
    conditions = live.get("status", {}).get("conditions", [])
    return any((each["type"], each.get("reason")) == ("Progressing", "ProgressDeadlineExceeded") for each in conditions)


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
        and blocked_pod(pod, {}) is not None
    ]


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
