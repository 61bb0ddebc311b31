"""Volumes that are not as they should be while their pod runs well, being deleted or too small: pure functions of live claims."""

from collections.abc import Iterable
from typing import NamedTuple

from kubernetes.utils.quantity import parse_quantity

from .resources.objects import Object

# https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-claim-v1/#PersistentVolumeClaimStatus
_FAILED = ("ControllerResizeError", "NodeResizeError")


class Shortfall(NamedTuple):
    """A claim whose volume has less than was asked for."""

    failed: bool
    message: str


def leaving(claims: Iterable[Object]) -> str:
    """A warning about the first claim that is being deleted; empty when none is.

    Kubernetes keeps it until no pod uses it: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection
    """
    name = next((str(claim["metadata"]["name"]) for claim in claims if "deletionTimestamp" in claim["metadata"]), "")
    if not name:
        return ""
    pod = name.removeprefix("data-")
    return (
        f"PersistentVolumeClaim {name} is being deleted: its data is lost as soon as pod {pod} stops, and nothing takes that back. "
        f"Copy the data away, then run kubectl delete pod {pod}: it restarts with a new, empty volume."
    )


def shortfall(claims: Iterable[Object]) -> Shortfall | None:
    """The first bound claim with less capacity than it asks for, in its own words; one whose growth failed before the others."""
    found = [short for claim in claims if (short := _of(claim))]
    return min(found, key=lambda short: not short.failed, default=None)


def _of(claim: Object) -> Shortfall | None:
    status = claim.get("status", {})
    wanted = claim.get("spec", {}).get("resources", {}).get("requests", {}).get("storage")
    has = status.get("capacity", {}).get("storage")
    if status.get("phase") != "Bound" or wanted is None or has is None or parse_quantity(has) >= parse_quantity(wanted):
        return None
    conditions = {each["type"]: each for each in status.get("conditions") or [] if each.get("status") == "True"}
    refused = next((state for state in (status.get("allocatedResourceStatuses") or {}).values() if state.endswith("Infeasible")), "")
    error = next((kind for kind in _FAILED if kind in conditions), refused)
    words = next((each.get("message") for each in conditions.values() if each.get("message")), "")
    name = claim["metadata"]["name"]
    sentence = f"PersistentVolumeClaim {name} has {has} of the {wanted} asked for"
    why = ": ".join(part for part in (error, str(words).rstrip(".")) if part)
    if "FileSystemResizePending" in conditions:
        pod = name.removeprefix("data-")
        return Shortfall(False, f"{sentence}: its file system grows when the pod starts again. Run kubectl delete pod {pod}.")
    return Shortfall(bool(error), f"{sentence}{f': {why}' if why else ''}. See kubectl describe pvc {name}.")
