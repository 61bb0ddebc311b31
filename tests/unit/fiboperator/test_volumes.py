"""Volumes grow where they may, never at the price of what they hold, and go with the FibPipeline only."""

from typing import Any

import pytest

from fiboperator import names
from fiboperator.errors import ApiError
from fiboperator.reconcile import SLOW_RETRY_SECONDS
from tests.unit.fiboperator.world import World

GROWN = {"postgresql": {"storage": {"size": "30Gi"}}}
FORBIDDEN = ApiError("grow", 403, "Forbidden", "only dynamically provisioned pvc can be resized and the storageclass must support resize")


async def with_volume(phase: str = "Bound", size: str = "20Gi") -> World:
    world = World()
    await world.reconcile()
    world.bind_volume("postgresql", size, phase)
    return world


def claim(world: World) -> Any:
    return world.cluster.objects["PersistentVolumeClaim", "data-demo-postgresql-0"]["metadata"]


def template_size(world: World) -> Any:
    stateful_set = world.cluster.objects["StatefulSet", "demo-postgresql"]
    return stateful_set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]


async def test_the_claim_grows_first_and_the_statefulset_is_made_anew_around_its_pod() -> None:
    world = await with_volume()
    world.submit(GROWN, generation=2)
    await world.reconcile()
    assert world.cluster.written == ["grow data-demo-postgresql-0 30Gi", "orphan StatefulSet demo-postgresql", "status"]
    await world.reconcile()
    assert "create StatefulSet demo-postgresql" in world.cluster.written
    assert template_size(world) == "30Gi"
    await world.reconcile()
    assert world.cluster.written == []


async def test_a_refused_growth_is_told_and_stops_nothing_else() -> None:
    world = await with_volume()
    world.cluster.failures["grow"] = FORBIDDEN
    world.submit({**GROWN, "api": {"replicas": 4}}, generation=2)
    assert await world.reconcile() == SLOW_RETRY_SECONDS
    assert world.condition()["reason"] == "ExpansionRefused"
    assert "data-demo-postgresql-0 (class fast) stays at 20Gi: grow: only dynamically" in world.condition()["message"]
    assert "kubectl patch storageclass fast" in world.condition()["message"]
    assert world.cluster.written == ["grow data-demo-postgresql-0 30Gi", "apply Deployment demo-api", "status"]
    await world.reconcile()
    assert world.cluster.written == ["grow data-demo-postgresql-0 30Gi"], "it is asked again, nothing else is written"
    world.submit({"postgresql": {"storage": {"size": "30Gi"}, "image": "postgres:19"}}, generation=3)
    await world.reconcile()
    assert "apply StatefulSet demo-postgresql" in world.cluster.written, "a new image is applied all the same"
    assert template_size(world) == "20Gi"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('User "system:serviceaccount:x:y" cannot patch resource "persistentvolumeclaims" in API group ""', "Forbidden"),
        ("exceeded quota: disks, requested: requests.storage=10Gi", "QuotaExceeded"),
    ],
)
async def test_a_refusal_that_is_not_the_classs_does_not_blame_it(message: str, reason: str) -> None:
    world = await with_volume()
    world.cluster.failures["grow"] = ApiError("grow", 403, "Forbidden", message)
    world.submit(GROWN, generation=2)
    await world.reconcile()
    assert world.condition()["reason"] == reason


async def test_a_passing_failure_leaves_the_statefulset_and_is_tried_again() -> None:
    world = await with_volume()
    world.cluster.failures["grow"] = ApiError("grow", 500, "InternalError", "etcd is away")
    world.submit(GROWN, generation=2)
    with pytest.raises(ApiError):
        await world.reconcile()
    assert ("StatefulSet", "demo-postgresql") in world.cluster.objects


async def test_a_claim_without_volume_cannot_grow_yet() -> None:
    world = await with_volume("Pending")
    world.submit(GROWN, generation=2)
    await world.reconcile()
    assert world.cluster.written == ["status"]
    world.bind_volume("postgresql", "20Gi")
    world.cluster.objects["PersistentVolumeClaim", "data-demo-postgresql-0"]["metadata"]["resourceVersion"] = "2"
    world.watch()
    await world.reconcile()
    assert world.cluster.written[:2] == ["grow data-demo-postgresql-0 30Gi", "orphan StatefulSet demo-postgresql"]


async def test_a_statefulset_that_is_leaving_is_waited_for() -> None:
    world = await with_volume(size="30Gi")
    world.submit(GROWN, generation=2)
    leaving = world.cluster.objects["StatefulSet", "demo-postgresql"]["metadata"]
    leaving.update(deletionTimestamp="2026-01-01T00:00:00Z", resourceVersion=str(next(world.cluster.versions)))
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["status"]
    assert world.condition("DatabaseReady")["message"] == "StatefulSet demo-postgresql is being deleted and will be made anew."


async def test_a_kept_volume_grows_to_what_its_next_pipeline_asks_for() -> None:
    world = World(GROWN)
    world.bind_volume("postgresql", "20Gi")
    world.cluster.objects["Secret", "demo-postgresql"] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "demo-postgresql",
            "namespace": "flask-celery",
            "uid": "s",
            "resourceVersion": "2",
            "labels": {
                "app.kubernetes.io/instance": "demo",
                "app.kubernetes.io/component": "postgresql",
                "app.kubernetes.io/managed-by": "fibpipeline-operator",
            },
        },
        "data": {"password": "YQ==", "admin-password": "Yg=="},
    }
    world.watch()
    await world.reconcile()
    assert "grow data-demo-postgresql-0 30Gi" in world.cluster.written
    assert template_size(world) == "30Gi"


async def test_a_child_that_is_leaving_is_not_written_any_more() -> None:
    world = World()
    await world.reconcile()
    leaving = world.cluster.objects["Deployment", "demo-api"]["metadata"]
    leaving.update(deletionTimestamp="2026-01-01T00:00:00Z", resourceVersion=str(next(world.cluster.versions)))
    world.submit({"api": {"replicas": 4}}, generation=2)
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["status"]
    del world.cluster.objects["Deployment", "demo-api"]
    world.watch()
    await world.reconcile()
    assert "create Deployment demo-api" in world.cluster.written
    assert world.cluster.objects["Deployment", "demo-api"]["spec"]["replicas"] == 4


async def test_with_the_policy_delete_the_pipeline_owns_its_volumes_and_with_retain_nobody_does() -> None:
    world = await with_volume()
    await world.reconcile()
    assert world.cluster.written == []
    world.submit({"deletionPolicy": "Delete"}, generation=2)
    await world.reconcile()
    assert "amend PersistentVolumeClaim data-demo-postgresql-0 ownerReferences" in world.cluster.written
    uid = world.cluster.objects["FibPipeline", "demo"]["metadata"]["uid"]
    assert claim(world)["ownerReferences"] == [{"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "name": "demo", "uid": uid}]
    await world.reconcile()
    assert world.cluster.written == []
    world.submit(None, generation=3)
    await world.reconcile()
    assert claim(world)["ownerReferences"] == []


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_volume_loses_the_statefulset_and_the_predecessor_as_owners_and_keeps_others(policy: str) -> None:
    world = World({"deletionPolicy": policy})
    await world.reconcile()
    world.bind_volume("postgresql", "20Gi")
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "t"}
    predecessor = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "demo", "uid": "before"}
    stateful_set = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-postgresql", "uid": "s"}
    claim(world).update(ownerReferences=[predecessor, other, stateful_set], resourceVersion=str(next(world.cluster.versions)))
    world.watch()
    await world.reconcile()
    uids = [owner["uid"] for owner in claim(world)["ownerReferences"]]
    assert uids == ["t", *([world.cluster.objects["FibPipeline", "demo"]["metadata"]["uid"]] if policy == "Delete" else [])]


async def test_a_volume_has_its_owner_before_the_statefulset_that_took_it_along_is_deleted() -> None:
    world = World({"deletionPolicy": "Delete", "flower": {"enabled": True}})
    await world.reconcile()
    world.bind_volume("postgresql", "20Gi")
    world.submit({"deletionPolicy": "Delete", "flower": {"enabled": False}}, generation=2)
    await world.reconcile()
    order = [action for action in world.cluster.written if action.startswith(("amend", "delete Deployment"))]
    assert order == ["amend PersistentVolumeClaim data-demo-postgresql-0 ownerReferences", "delete Deployment demo-flower"]


async def test_a_volume_that_is_being_deleted_is_not_written() -> None:
    world = await with_volume()
    claim(world).update(deletionTimestamp="2026-01-01T00:00:00Z", annotations={}, resourceVersion=str(next(world.cluster.versions)))
    world.watch()
    await world.reconcile()
    assert world.cluster.written == []


async def made_by_the_release_before() -> World:
    """A pipeline whose StatefulSet does not annotate its volumes."""
    world = await with_volume()
    before = world.cluster.objects["StatefulSet", "demo-postgresql"]
    del before["spec"]["volumeClaimTemplates"][0]["metadata"]["annotations"]
    before["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()
    return world


async def test_where_its_volume_does_not_grow_the_statefulset_of_the_release_before_keeps_its_immutable_marks() -> None:
    world = await made_by_the_release_before()
    world.cluster.failures["grow"] = FORBIDDEN
    world.submit({"postgresql": {"storage": {"size": "30Gi"}, "image": "postgres:19"}}, generation=2)
    await world.reconcile()
    assert "apply StatefulSet demo-postgresql" in world.cluster.written
    assert "annotations" not in world.cluster.objects["StatefulSet", "demo-postgresql"]["spec"]["volumeClaimTemplates"][0]["metadata"]
    assert template_size(world) == "20Gi"


async def test_the_statefulset_of_the_release_before_is_not_made_again_for_the_marks_of_its_volume() -> None:
    world = await made_by_the_release_before()
    await world.reconcile()
    assert [action for action in world.cluster.written if "StatefulSet" in action] == ["apply StatefulSet demo-postgresql"], "its mark only"
    assert "annotations" not in world.cluster.objects["StatefulSet", "demo-postgresql"]["spec"]["volumeClaimTemplates"][0]["metadata"]
    await world.reconcile()
    assert world.cluster.written == []


async def test_a_volume_says_to_gitops_tools_that_it_is_not_theirs() -> None:
    world = await with_volume()
    claim(world).update(annotations={}, resourceVersion=str(next(world.cluster.versions)))
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["amend PersistentVolumeClaim data-demo-postgresql-0 annotations"]
