"""Readiness as a table of live objects."""

from typing import Any

import pytest
import yaml

from fiboperator import health
from fiboperator.health import Verdict


def deployment(wanted: int = 3, ready: int = 3, updated: int | None = None, observed: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": "demo-worker", "generation": 1},
        "spec": {"replicas": wanted},
        "status": {
            "observedGeneration": observed,
            "replicas": wanted,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": wanted if updated is None else updated,
            **status,
        },
    }


def pod(text: str) -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load(text)
    return {"kind": "Pod", "metadata": {"name": "demo-worker-x"}, "spec": {"nodeName": "node-1"}, **body}


PULL = """
status:
  containerStatuses:
    - {name: worker, image: "nowhere/app:1", state: {waiting: {reason: ImagePullBackOff, message: back-off}}}
"""


def verdict(live: dict[str, Any] | None, pods: list[dict[str, Any]] | None = None, enough: int = 3) -> Verdict:
    return health.workload("Deployment", "demo-worker", live, pods or [], [], enough, {})


def test_all_pods_ready_is_available() -> None:
    assert verdict(deployment()) == Verdict(True, "Available", "3 of 3 pods are ready.")


def test_scaling_up_beyond_the_floor_stays_ready() -> None:
    assert verdict(deployment(wanted=6, ready=3)).ready


def test_pods_that_are_not_made_yet_are_no_rollout() -> None:
    assert verdict(deployment(wanted=10, ready=3, updated=3, replicas=3)).ready
    assert not verdict(deployment(wanted=10, ready=6, updated=3, replicas=6)).ready, "three are of an older template"


def test_fewer_than_the_floor_is_not_ready() -> None:
    assert not verdict(deployment(wanted=1, ready=1)).ready
    assert not verdict(deployment(wanted=3, ready=2)).ready


def test_what_its_controller_has_not_seen_is_in_progress_whatever_the_counts_say() -> None:
    assert verdict(deployment(observed=0)).reason == "Progressing"
    assert verdict(None).message == "Deployment demo-worker does not exist yet."


def test_a_rollout_is_ready_when_all_pods_are_new() -> None:
    found = verdict(deployment(updated=1))
    assert (found.ready, found.message) == (False, "Deployment demo-worker: 1 of 3 pods are of the newest version.")


CRASH = """
status:
  containerStatuses:
    - {name: worker, restartCount: 7, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, message: boom}}}
"""


@pytest.mark.parametrize(("wanted", "surge"), [(1, 1), (2, 1), (3, 2)], ids=["one replica", "last wave", "last wave of a surge"])
def test_a_rollout_is_not_ready_while_pods_of_the_older_version_stand_in_for_the_newest(wanted: int, surge: int) -> None:
    live = deployment(wanted=wanted, ready=wanted, replicas=wanted + surge)
    found = verdict(live, [pod(CRASH)], enough=wanted)
    assert (found.ready, found.reason) == (False, "Degraded")
    assert "Pod demo-worker-x, container worker: CrashLoopBackOff, exit code 1: boom" in found.message
    unexplained = verdict(live, enough=wanted)
    assert (unexplained.ready, unexplained.reason) == (False, "Progressing")
    assert "pods of an older version still serve" in unexplained.message


def test_a_rollout_past_its_deadline_is_degraded_until_it_is_done() -> None:
    stuck = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    found = verdict(deployment(ready=2, conditions=stuck))
    assert (found.reason, found.message.split(":")[0]) == ("Degraded", "Deployment demo-worker makes no progress")
    assert verdict(deployment(wanted=6, ready=3, conditions=stuck)).ready, "the floor is there; more than that is a matter of scaling"


def test_pods_that_are_ready_but_not_available_yet_do_not_count() -> None:
    assert not verdict(deployment(availableReplicas=2)).ready


def test_a_statefulset_without_an_update_under_way_is_rolled_out() -> None:
    live = {
        "kind": "StatefulSet",
        "metadata": {"name": "demo-rabbitmq", "generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "readyReplicas": 1, "availableReplicas": 1, "currentRevision": "a", "updateRevision": "a"},
    }
    assert health.workload("StatefulSet", "demo-rabbitmq", live, [], [], 1, {}).ready
    live["status"] = {**live["status"], "updateRevision": "b"}  # type: ignore[dict-item]
    assert not health.workload("StatefulSet", "demo-rabbitmq", live, [], [], 1, {}).ready


def test_only_a_blocked_pod_of_an_older_template_is_stuck() -> None:
    def revision(text: str, name: str, **metadata: Any) -> dict[str, Any]:
        blocked = pod(text)
        return {**blocked, "metadata": {"name": name, "labels": {"controller-revision-hash": name}, **metadata}}

    live = {
        "kind": "StatefulSet",
        "metadata": {"name": "demo-rabbitmq", "generation": 2},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 2, "updateRevision": "new"},
    }
    old, new = revision(PULL, "old"), revision(PULL, "new")
    running, leaving = revision("status: {}", "old"), revision(PULL, "old", deletionTimestamp="now")
    assert health.stuck_pods(live, [old, new, running, leaving]) == [old]
    live["status"]["observedGeneration"] = 1  # type: ignore[index]
    assert health.stuck_pods(live, [old]) == [], "which template is the newest is not known yet"


def test_an_ingress_without_address_gives_the_line_that_helps() -> None:
    live: dict[str, Any] = {"metadata": {"name": "demo"}, "status": {}}
    assert health.exposure(live, "kubectl port-forward ...").message.endswith("Until then: kubectl port-forward ...")
    live["status"] = {"loadBalancer": {"ingress": [{"hostname": "localhost"}]}}
    assert health.exposure(live, "").ready
