"""A volume that did not grow is named."""

from typing import Any

import pytest

from fiboperator import health


def claim(has: str, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "data-demo-postgresql-0"},
        "spec": {"resources": {"requests": {"storage": "100Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": has}, **status},
    }


def condition(kind: str, message: str = "") -> list[dict[str, str]]:
    return [{"type": kind, "status": "True", "message": message}]


@pytest.mark.parametrize(
    ("volume", "ready", "reason", "words"),
    [
        (claim("100Gi"), True, "Available", "1 of 1 pods are ready."),
        (claim("20Gi"), True, "VolumeResizing", "data-demo-postgresql-0 has 20Gi of the 100Gi asked for. See kubectl describe pvc"),
        (claim("20Gi", conditions=condition("FileSystemResizePending")), True, "VolumeResizing", "kubectl delete pod demo-postgresql-0"),
        (
            claim("20Gi", conditions=condition("ControllerResizeError", "quota exceeded")),
            False,
            "ExpansionFailed",
            "has 20Gi of the 100Gi asked for: ControllerResizeError: quota exceeded. See",
        ),
        (
            claim("20Gi", allocatedResourceStatuses={"storage": "ControllerResizeInfeasible"}),
            False,
            "ExpansionFailed",
            "ControllerResizeInfeasible",
        ),
    ],
)
def test_a_volume_that_has_not_grown_is_named(volume: dict[str, Any], ready: bool, reason: str, words: str) -> None:
    found = running_on(volume)
    assert (found.ready, found.reason) == (ready, reason)
    assert words in found.message


def test_a_volume_that_is_being_deleted_is_named_while_its_pod_still_runs() -> None:
    volume = claim("20Gi")
    volume["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = running_on(volume)
    assert (found.ready, found.reason) == (False, "VolumeTerminating")
    assert "PersistentVolumeClaim data-demo-postgresql-0 is being deleted: its data is lost as soon as pod demo" in found.message


def running_on(volume: dict[str, Any]) -> health.Verdict:
    """The verdict on a StatefulSet whose pod is well."""
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), 1)
    live = {"kind": "StatefulSet", "metadata": {"name": "x", "generation": 1}, "spec": {}, "status": {"observedGeneration": 1, **counts}}
    return health.workload("StatefulSet", "x", live, [], [volume], 1, {})
