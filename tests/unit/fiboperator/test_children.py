"""The compact store of live children."""

from typing import Any

from fiboperator.children import Change, Children, compact
from fiboperator.names import DELETION_COST


def child(name: str = "demo-api", version: int = 1, uid: str = "u1", kind: str = "Service", **body: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/instance": "demo"}
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": uid,
        "resourceVersion": str(version),
        "labels": labels,
        "managedFields": [{"big": 1}],
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}


def test_the_newest_version_wins_and_only_news_is_news() -> None:
    children = Children()
    assert children.put(child(version=2, spec={"new": True})) == Change(("ns", "demo"))
    assert children.put(child(version=2)) is None
    assert children.put(child(version=1)) is None, "a late event is older than the reply to our own write"
    assert children.of(("ns", "demo"))["Service", "demo-api"]["spec"] == {"new": True}


def test_what_is_only_reported_is_told_from_what_somebody_did() -> None:
    def change(version: int, uid: str = "u1", **body: Any) -> Change | None:
        return children.put(child(version=version, uid=uid, kind="Deployment", **body))

    children = Children()
    change(1, spec={"replicas": 1}, status={})
    assert change(2, spec={"replicas": 1}, status={"readyReplicas": 1}) == Change(("ns", "demo"), reported=True)
    assert change(3, spec={"replicas": 2}, status={"readyReplicas": 1}) == Change(("ns", "demo"))
    assert change(4, uid="u2", spec={"replicas": 2}) == Change(("ns", "demo")), "another object of that name"


def test_the_number_of_a_rollout_is_a_report_of_its_controller() -> None:
    def change(version: int, **annotations: str) -> Change | None:
        deployment = child(version=version, kind="Deployment")
        deployment["metadata"]["annotations"] = annotations
        return children.put(deployment)

    children, revision = Children(), "deployment.kubernetes.io/revision"
    change(1, **{revision: "1", "fibpipeline.io/mark": "ours"})
    assert change(2, **{revision: "2", "fibpipeline.io/mark": "ours"}) == Change(("ns", "demo"), reported=True)
    assert change(3, **{revision: "2", "fibpipeline.io/mark": "theirs"}) == Change(("ns", "demo"))


def test_what_is_seen_of_our_own_write_before_its_reply_is_nothing_to_hurry_for() -> None:
    children = Children()
    with children.writing(child()):
        assert children.put(child(version=1)) == Change(("ns", "demo"), reported=True)
        assert children.put(child("demo-worker", version=2)) == Change(("ns", "demo")), "another child"
    assert children.put(child(version=3, spec={"new": True})) == Change(("ns", "demo"))


def test_a_deletion_does_not_hit_a_successor() -> None:
    children = Children()
    children.put(child(uid="new", version=5))
    assert children.drop(child(uid="old", version=4)) is None
    assert ("Service", "demo-api") in children.of(("ns", "demo"))
    assert children.drop(child(uid="new", version=6)) == Change(("ns", "demo"))
    assert children.of(("ns", "demo")) == {}


def test_a_late_reply_does_not_bring_back_what_was_deleted_since() -> None:
    children = Children()
    children.put(child(version=4))
    children.drop(child(version=6))
    assert children.put(child(version=5)) is None, "the reply to a write between the two"
    assert children.of(("ns", "demo")) == {}
    assert children.put(child(version=7, uid="u2")) == Change(("ns", "demo")), "its successor"


def test_after_a_complete_list_what_is_not_in_it_is_gone() -> None:
    children = Children()
    children.put(child("demo-api"))
    children.put(child("demo-flower"))
    children.put(child("demo-api", kind="Deployment"))
    assert children.retain("Service", {("ns", "demo-api")}) == {("ns", "demo")}
    assert set(children.of(("ns", "demo"))) == {("Service", "demo-api"), ("Deployment", "demo-api")}
    assert children.retain("Service", {("ns", "demo-api")}) == set()


def test_of_pods_only_what_tells_their_health_is_kept() -> None:
    pod = child(kind="Pod", spec={"nodeName": "node-1", "containers": [{"name": "x"}]}, status={"phase": "Running", "podIP": "10.0.0.1"})
    kept = compact(pod)
    assert kept["spec"] == {"nodeName": "node-1"}
    assert kept["status"] == {"phase": "Running"}
    assert "managedFields" not in kept["metadata"]
    assert "annotations" not in kept["metadata"]
    pod["metadata"]["annotations"] = {DELETION_COST: "102", "other": "x" * 1000}
    assert compact(pod)["metadata"]["annotations"] == {DELETION_COST: "102"}


def owned(version: int, **labels: str) -> dict[str, Any]:
    body = child(version=version)
    owner = {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "name": "demo", "uid": "p", "controller": True}
    body["metadata"] |= {"labels": labels, "ownerReferences": [owner]}
    return body


def test_a_child_stays_its_owners_whatever_label_it_is_given() -> None:
    children = Children()
    children.put(owned(1, **{"app.kubernetes.io/instance": "demo"}))
    assert children.put(owned(2, **{"app.kubernetes.io/instance": "argo-app"})) == Change(("ns", "demo"))
    assert children.put(owned(3)) == Change(("ns", "demo"))
    kept = children.get(("ns", "demo"), ("Service", "demo-api"))
    assert kept is not None and kept["metadata"]["labels"] == {}


def test_an_object_without_owner_leaves_the_pipeline_that_its_label_no_longer_names() -> None:
    def labelled(version: int, **labels: str) -> dict[str, Any]:
        body = child(version=version, kind="Secret")
        body["metadata"]["labels"] = labels
        return body

    children = Children()
    children.put(labelled(1, **{"app.kubernetes.io/instance": "demo"}))
    moved = children.put(labelled(3, **{"app.kubernetes.io/instance": "other"}))
    assert moved == Change(("ns", "other"), bereft=("ns", "demo"))
    assert children.of(("ns", "demo")) == {}
    assert children.put(labelled(2, **{"app.kubernetes.io/instance": "demo"})) is None, "a late event"
    assert children.put(labelled(4)) == Change(("ns", "other"))
    assert children.of(("ns", "other")) == {}


def test_objects_of_nobody_are_not_kept() -> None:
    foreign = child()
    foreign["metadata"]["labels"] = {}
    assert Children().put(foreign) is None
