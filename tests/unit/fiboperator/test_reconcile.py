"""The pass against a cluster in memory."""

import contextlib
import copy
import itertools
from typing import Any

import pytest

from fiboperator.children import Change, Children
from fiboperator.errors import ApiError
from fiboperator.reconcile import SLOW_RETRY_SECONDS
from tests.pipelines import fibpipeline
from tests.unit.fiboperator.world import KEY, Killed, World


async def test_one_pass_makes_everything_and_the_second_writes_nothing() -> None:
    world = World()
    assert await world.reconcile() is None
    creations = [action for action in world.cluster.written if action.startswith("create")]
    assert sorted(set(world.cluster.written) - set(creations)) == ["scale demo-worker 3", "status"]
    kinds = [action.split()[1] for action in creations]
    needs = [position for position, kind in enumerate(kinds) if kind in ("Secret", "ConfigMap", "ServiceAccount")]
    pods = [position for position, kind in enumerate(kinds) if kind in ("StatefulSet", "Deployment")]
    assert len(needs) == 9
    assert max(needs) < min(pods), "what pods cannot start without comes first"
    await world.reconcile()
    assert world.cluster.written == []
    world.restart()
    await world.reconcile()
    assert world.cluster.written == [], "nor does a restart"
    assert world.cluster.events == []


async def test_on_openshift_pods_ask_for_no_user_ids_and_elsewhere_for_those_of_their_images() -> None:
    def security(world: World) -> dict[str, Any]:
        found: dict[str, Any] = world.cluster.objects["Deployment", "demo-api"]["spec"]["template"]["spec"]["securityContext"]
        return found

    world = World()
    await world.reconcile()
    assert {"runAsUser", "runAsGroup", "fsGroup"} <= set(security(world))
    world = World()
    world.cluster.api_groups.add("security.openshift.io")
    await world.reconcile()
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(security(world))
    assert security(world)["runAsNonRoot"] is True
    await world.reconcile()
    assert world.cluster.looked_for == ["security.openshift.io"], "once in the life of the process"


async def test_creation_costs_one_request_a_child_and_four_more() -> None:
    world = World()
    await world.reconcile()
    assert len(world.cluster.written) == len(world.cluster.objects) - 1 + len(["scale", "status"])
    assert world.cluster.reads == [f"PersistentVolumeClaim data-demo-{each}-0" for each in ("rabbitmq", "postgresql")], "restored ones?"


async def test_a_password_that_is_not_seen_yet_is_never_overwritten() -> None:
    world = World()
    await world.reconcile()
    before = world.passwords()
    world.cluster.objects = {key: body for key, body in world.cluster.objects.items() if key[0] == "Secret"}
    world.submit(None, uid="22222222-bbbb")
    world.children = world.reconciler._children = Children()
    with pytest.raises(ApiError):
        await world.reconciler(KEY)
    assert world.passwords() == before
    world.watch()
    await world.reconcile()
    assert world.passwords() == before
    assert ("StatefulSet", "demo-postgresql") in world.cluster.objects


def test_a_status_is_nothing_to_hurry_for_but_a_new_spec_is() -> None:
    def seen(version: int, generation: int, uid: str = "1") -> Change | None:
        body = fibpipeline()
        body["metadata"] |= {"resourceVersion": str(version), "generation": generation, "uid": uid}
        return world.reconciler.observe(body)

    world = World()
    assert seen(5001, 1) == Change(KEY)
    assert seen(5001, 1) is None
    assert seen(5002, 1) == Change(KEY, reported=True)
    assert seen(5003, 2) == Change(KEY)
    assert seen(5004, 2, uid="2") == Change(KEY), "its successor"


@pytest.mark.parametrize("value", ["", "/w=="], ids=["emptied", "no text"])
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "mended meanwhile"])
async def test_a_damaged_credential_is_made_up_anew_only_where_nothing_depends_on_it(value: str, seen: bool) -> None:
    world = World()
    await world.reconcile()
    secret = world.cluster.objects["Secret", "demo-postgresql"]
    good = secret["data"]["password"]
    secret["data"]["password"] = value
    secret["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()
    if not seen:
        secret["data"]["password"] = good
        world.watch()
    await world.reconcile()
    now = world.cluster.objects["Secret", "demo-postgresql"]["data"]["password"]
    assert (now == good) is not seen
    assert now not in ("", value)


async def test_a_deleted_or_edited_child_is_repaired_by_one_write() -> None:
    world = World()
    await world.reconcile()
    del world.cluster.objects["Service", "demo-api"]
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["create Service demo-api"]
    edited = world.cluster.objects["Deployment", "demo-api"]
    edited["spec"]["replicas"] = 7
    edited["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["apply Deployment demo-api"]


async def test_the_workers_number_is_left_to_the_autoscaler_above_the_floor() -> None:
    world = World()
    await world.reconcile()
    worker = world.cluster.objects["Deployment", "demo-worker"]
    worker["spec"]["replicas"] = 8
    worker["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()
    await world.reconcile()
    assert "scale" not in " ".join(world.cluster.written)
    world.submit({"worker": {"replicas": 2, "autoscaling": {"enabled": False}}}, generation=2)
    await world.reconcile()
    assert "scale demo-worker 2" in world.cluster.written
    assert "delete HorizontalPodAutoscaler demo-worker" in world.cluster.written


async def test_what_is_switched_off_is_pruned_but_never_credentials() -> None:
    world = World()
    await world.reconcile()
    world.submit({"flower": {"enabled": False}}, generation=2)
    await world.reconcile()
    gone = {action for action in world.cluster.written if action.startswith("delete")}
    assert gone == {f"delete {kind} demo-flower" for kind in ("Deployment", "Service", "ServiceAccount", "NetworkPolicy")}
    assert "demo-flower" in world.passwords()


@pytest.mark.parametrize("after", range(1, 34))
async def test_killed_after_any_write_and_started_again_the_end_is_the_same(after: int) -> None:
    world = World()
    writes = itertools.count(1)
    note = world.cluster._note

    def until(action: str) -> None:
        if next(writes) > after:
            raise Killed
        note(action)

    world.cluster._note = until  # type: ignore[method-assign]
    with contextlib.suppress(Killed):
        await world.reconciler(KEY)
    before = copy.deepcopy(world.passwords())
    world.cluster._note = note  # type: ignore[method-assign]
    world.restart()
    await world.reconcile()
    for name, data in before.items():
        assert world.passwords()[name] == data, "a password was made up anew"
    clean = World()
    await clean.reconcile()
    assert set(world.cluster.objects) == set(clean.cluster.objects)
    await world.reconcile()
    assert world.cluster.written == []


async def test_paused_leaves_every_child_as_it_is() -> None:
    world = World()
    await world.reconcile()
    world.submit({"paused": True, "api": {"replicas": 9}}, generation=2)
    del world.cluster.objects["Service", "demo-api"]
    world.watch()
    await world.reconcile()
    assert world.cluster.written == ["status"]


async def test_a_pipeline_that_is_gone_gets_no_children_back() -> None:
    world = World()
    await world.reconcile()
    world.cluster.objects.clear()
    world.children = Children()
    world.reconciler._children = world.children
    await world.reconcile()
    assert world.cluster.written == []
    assert world.reconciler.pipelines == {}


async def test_a_refusal_is_a_condition_and_a_slow_retry() -> None:
    world = World()
    world.cluster.failures["StatefulSet demo-rabbitmq"] = ApiError(
        "apply StatefulSet demo-rabbitmq", 403, "Forbidden", "cannot patch statefulsets"
    )
    assert await world.reconcile() == SLOW_RETRY_SECONDS
    assert world.condition()["reason"] == "Forbidden"
    assert "cannot patch statefulsets" in world.condition()["message"]
    world.cluster.failures.clear()
    await world.reconcile()
    assert world.condition()["reason"] == "WaitingForBroker"


async def test_a_passing_failure_is_a_condition_and_backoff() -> None:
    world = World()
    world.cluster.failures["Service demo-api"] = ApiError("apply Service demo-api", 500, "InternalError", "etcd is away")
    with pytest.raises(ApiError):
        await world.reconcile()
    assert world.condition()["reason"] == "ReconcileError"


async def test_children_that_cannot_be_listed_are_not_taken_for_missing() -> None:
    world = World()
    world.trouble = ApiError("list StatefulSet", 403, "Forbidden", "cannot list statefulsets")
    await world.reconcile()
    assert world.cluster.written == ["status"]
    assert "cannot list statefulsets" in world.condition()["message"]
    for kind in ("Ready", "BrokerReady", "WorkersReady", "AutoscalingActive"):
        assert (world.condition(kind)["status"], world.condition(kind)["reason"]) == ("Unknown", "Forbidden"), kind
    world.trouble = None
    await world.reconcile()
    assert world.condition("BrokerReady")["status"] == "False"


async def test_a_spec_that_cannot_be_read_is_looked_at_again() -> None:
    world = World()
    await world.reconcile()
    world.submit(None, generation=2)
    world.cluster.objects["FibPipeline", "demo"]["spec"]["api"] = 3
    assert await world.reconcile() == SLOW_RETRY_SECONDS
    assert world.condition()["reason"] == "InvalidSpec"
    assert "spec.api: Input should be" in world.condition()["message"]
    assert await world.reconcile() == SLOW_RETRY_SECONDS
    assert world.cluster.written == [], "it is said once"


@pytest.mark.parametrize("listed", [True, False], ids=["listed again", "no event"])
async def test_an_invalid_spec_heals_when_the_crd_is_put_right_although_no_version_moves(listed: bool) -> None:
    world = World()
    await world.reconcile()
    world.submit(None, generation=2)
    world.cluster.objects["FibPipeline", "demo"]["spec"]["api"] = 3
    await world.reconcile()
    put_right = world.cluster.objects["FibPipeline", "demo"] | {"spec": fibpipeline()["spec"]}
    world.cluster.objects["FibPipeline", "demo"] = put_right
    if listed:
        assert world.reconciler.observe(put_right) == Change(KEY)
        assert world.reconciler.observe(put_right) is None
    else:
        assert await world.reconcile() == 0, "again, by the spec that is there"
    await world.reconcile()
    assert world.condition()["reason"] == "WaitingForBroker"


async def test_nothing_is_deleted_for_a_spec_that_has_changed_since() -> None:
    world = World({"flower": {"enabled": False}})
    await world.reconcile()
    stale = copy.deepcopy(world.cluster.objects["FibPipeline", "demo"])
    world.submit({"flower": {"enabled": True}}, generation=2)
    await world.reconcile()
    world.cluster.objects["FibPipeline", "demo"], present = stale, world.cluster.objects["FibPipeline", "demo"]
    world.restart()  # it is shown the pipeline of long ago
    world.cluster.objects["FibPipeline", "demo"] = present
    assert await world.reconcile() == 0, "again, by the present spec"
    assert world.cluster.written == []
    await world.reconcile()
    assert world.cluster.written == []
    assert ("Deployment", "demo-flower") in world.cluster.objects


async def test_an_ingress_of_another_class_is_made_anew_so_that_no_address_of_the_old_controller_is_believed() -> None:
    world = World({"ingress": {"className": "nginx"}})
    await world.reconcile()
    ingress = world.cluster.objects["Ingress", "demo"]
    ingress["status"] = {"loadBalancer": {"ingress": [{"hostname": "old.example.com"}]}}
    ingress["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()
    await world.reconcile()
    assert world.condition("Exposed")["status"] == "True"
    world.submit({"ingress": {"className": "traefik"}}, generation=2)
    await world.reconcile()
    written = [action for action in world.cluster.written if "Ingress" in action]
    assert written == ["delete Ingress demo", "create Ingress demo"]
    assert (world.condition("Exposed")["status"], world.condition("Exposed")["reason"]) == ("False", "NoAddress")
    await world.reconcile()
    assert world.cluster.written == []
