"""Whose an object is, and what it may cost to find out: adoption, foreign objects, lost labels and lost credentials."""

import copy
from typing import Any

from fiboperator import names
from fiboperator.guards import adopting
from fiboperator.reconcile import SLOW_RETRY_SECONDS
from tests.unit.fiboperator.world import KEY, World


async def test_a_lost_secret_is_not_made_up_again_over_existing_data() -> None:
    world = World()
    await world.reconcile()
    labels = world.cluster.objects["StatefulSet", "demo-postgresql"]["metadata"]["labels"]
    claim = {"name": "data-demo-postgresql-0", "namespace": "flask-celery", "uid": "c", "resourceVersion": "1", "labels": labels}
    world.cluster.objects["PersistentVolumeClaim", "data-demo-postgresql-0"] = {"kind": "PersistentVolumeClaim", "metadata": claim}
    del world.cluster.objects["Secret", "demo-postgresql"]
    world.watch()
    assert await world.reconcile() == SLOW_RETRY_SECONDS
    assert world.condition()["reason"] == "SecretNotFound"
    assert "Restore the Secret" in world.condition()["message"]
    assert world.cluster.written == ["status"]


async def test_a_volume_without_labels_is_seen_before_a_password_is_made() -> None:
    world = World()
    claim = {"name": "data-demo-postgresql-0", "namespace": "flask-celery", "uid": "c", "resourceVersion": "1"}
    world.cluster.objects["PersistentVolumeClaim", "data-demo-postgresql-0"] = {"kind": "PersistentVolumeClaim", "metadata": claim}
    assert await world.reconcile() == SLOW_RETRY_SECONDS
    assert world.condition()["reason"] == "SecretNotFound"
    assert world.cluster.written == ["status"]
    assert world.passwords() == {}
    await world.reconcile()
    assert world.cluster.written == [], "and it stays so"


async def test_children_without_owner_are_adopted_and_keep_what_they_are() -> None:
    world = World()
    await world.reconcile()
    before = {key: body["metadata"]["uid"] for key, body in world.cluster.objects.items() if key[0] != "FibPipeline"}
    passwords = world.passwords()
    for body in world.cluster.objects.values():  # as `kubectl delete --cascade=orphan` leaves them, and a restored backup
        body["metadata"].pop("ownerReferences", None)
        body["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    del world.cluster.objects["FibPipeline", "demo"]
    world.restart()
    world.submit(None, uid="22222222-bbbb")
    await world.reconcile()
    after = {key: body["metadata"]["uid"] for key, body in world.cluster.objects.items() if key[0] != "FibPipeline"}
    assert (after, world.passwords()) == (before, passwords)
    for (kind, _), body in world.cluster.objects.items():
        if kind not in ("Secret", "FibPipeline"):
            assert [owner["uid"] for owner in body["metadata"]["ownerReferences"]] == ["22222222-bbbb"]
    await world.reconcile()
    assert world.cluster.written == []


async def test_an_adopted_object_is_exactly_the_one_that_was_seen() -> None:
    child: dict[str, Any] = {"kind": "Service", "metadata": {"name": "demo-api"}}
    orphan: dict[str, Any] = {"kind": "Service", "metadata": {"name": "demo-api", "uid": "seen"}}
    assert adopting(child, orphan)["metadata"] == {"name": "demo-api", "uid": "seen"}
    owned = {**orphan, "metadata": {**orphan["metadata"], "ownerReferences": [{"controller": True, "uid": "us"}]}}
    assert adopting(child, owned) == child


async def test_a_foreign_object_under_a_childs_name_is_left_alone() -> None:
    world = World()
    foreign = {
        "kind": "ConfigMap",
        "metadata": {"name": "demo-postgresql", "namespace": "flask-celery", "resourceVersion": "7", "uid": "f"},
    }
    world.cluster.objects["ConfigMap", "demo-postgresql"] = copy.deepcopy(foreign)
    await world.reconcile()
    assert world.condition()["reason"] == "Conflict"
    assert "ConfigMap demo-postgresql" in world.condition()["message"]
    await world.reconcile()
    assert world.cluster.objects["ConfigMap", "demo-postgresql"] == foreign
    assert world.condition("Stalled")["status"] == "True"


async def test_a_successor_waits_for_the_leftovers_of_its_predecessor_and_adopts_its_credentials() -> None:
    world = World()
    await world.reconcile()
    before = world.passwords()
    del world.cluster.objects["FibPipeline", "demo"]
    world.submit(None, uid="22222222-bbbb")
    await world.reconcile()
    assert "still being removed" in world.condition()["message"]
    world.cluster.objects = {key: body for key, body in world.cluster.objects.items() if key[0] in ("Secret", "FibPipeline")}
    world.watch()
    await world.reconcile()
    assert ("Deployment", "demo-worker") in world.cluster.objects
    assert world.passwords() == before


async def test_a_secret_that_no_watch_shows_keeps_its_password() -> None:
    world = World()
    await world.reconcile()
    before = world.passwords()
    world.restart()
    world.children.retain("Secret", {(KEY[0], "demo-rabbitmq"), (KEY[0], "demo-postgresql")})
    await world.reconcile()
    assert world.passwords() == before
    assert world.cluster.written == []


async def test_a_secret_without_labels_keeps_its_password_and_gets_them_back() -> None:
    world = World()
    await world.reconcile()
    before = world.passwords()
    for name in ("demo-flower", "demo-rabbitmq"):
        secret = world.cluster.objects["Secret", name]["metadata"]
        secret.update(labels={"app.kubernetes.io/managed-by": names.MANAGER}, resourceVersion=str(next(world.cluster.versions)))
    world.watch()
    await world.reconcile()
    await world.reconcile()
    assert world.passwords() == before
    assert names.pipeline_of(world.cluster.objects["Secret", "demo-flower"]) == "demo"


async def test_a_child_whose_label_somebody_changed_gets_it_back_by_one_write() -> None:
    world = World()
    await world.reconcile()
    world.bind_volume("rabbitmq", "10Gi")
    await world.reconcile()
    labels = {"Deployment": "app.kubernetes.io/instance", "Secret": "fibpipeline.io/pipeline"}
    for kind, name in (("Deployment", "demo-worker"), ("Secret", "demo-rabbitmq")):
        child = world.cluster.objects[kind, name]
        child["metadata"]["labels"][labels[kind]] = "argo-app"
        child["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
        world.watch()
        await world.reconcile()
        assert f"apply {kind} {name}" in world.cluster.written
        assert world.cluster.objects[kind, name]["metadata"]["labels"][labels[kind]] == "demo"
    await world.reconcile()
    assert world.cluster.written == []
