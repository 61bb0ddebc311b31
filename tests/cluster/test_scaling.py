"""The floor, /scale, the marks on busy pods and the sentence on a real API server, with a load over real sockets."""

from collections.abc import Iterator
from typing import Any

import pytest

from fiboperator.names import DELETION_COST
from lab.audit import Audit
from lab.bare import BareControlPlane
from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.cluster.loads import LoadServer
from tests.waiting import eventually


@pytest.fixture
def loads(namespace: Namespace) -> Iterator[LoadServer]:
    """The API of this test's pipeline."""
    with LoadServer(namespace.name) as loads:
        yield loads


@pytest.fixture
def operator(stopped_operator: OperatorProcess, loads: LoadServer) -> OperatorProcess:
    """An operator that asks the test for the load."""
    stopped_operator.variables["FIBPIPELINE_LOAD_URL"] = loads.url
    return stopped_operator.start()


def numbers(namespace: Namespace) -> tuple[int, int]:
    """The floor and the workers that are wanted."""
    children = namespace.children()
    floor = children["HorizontalPodAutoscaler/demo-worker"]["spec"]["minReplicas"]
    return floor, children["Deployment/demo-worker"]["spec"]["replicas"]


def reason(namespace: Namespace) -> str:
    return str(namespace.pipeline()["status"]["worker"].get("reason", ""))


def marks(namespace: Namespace) -> dict[str, str | None]:
    """The deletion costs of the worker pods."""
    pods = [pod["metadata"] for pod in namespace.pods("worker")]
    return {pod["name"]: pod.get("annotations", {}).get(DELETION_COST) for pod in pods}


def rolls(namespace: Namespace, generation: int) -> bool:
    """Does the status tell of the rollout that the pipeline's generation began?"""
    told = namespace.condition("WorkersReady")
    return told["observedGeneration"] == generation and "newest version" in told["message"]


def idle(loads: LoadServer) -> bool:
    """Does the operator wait for the first job, with all the patience of an idle pipeline?"""
    return bool(loads.asked) and loads.asked[-1]["wait"] >= 540


def bring_to_rest(namespace: Namespace, loads: LoadServer) -> None:
    """Make a pipeline without work, and wait until its API knows of it."""
    namespace.apply()
    settled(namespace)
    eventually(lambda: idle(loads) and (loads.decision or {}).get("max") == 10, "the poll to rest")


def test_a_burst_raises_floor_and_workers_together_and_silence_only_the_floor_falls(
    operator: OperatorProcess, namespace: Namespace, loads: LoadServer
) -> None:
    bring_to_rest(namespace, loads)
    assert "nothing is queued" in eventually(lambda: reason(namespace), "the sentence")
    loads.set(300, 300.0)
    seen = set()

    def raised() -> bool:
        seen.add(numbers(namespace)[1])
        return numbers(namespace) == (10, 10)

    eventually(raised, "all workers to be asked for", interval=0.01)
    assert seen <= {3, 10}, "in one step"
    eventually(lambda: "300 s of queued and running work, 30 s wanted" in reason(namespace), "the sentence")
    assert namespace.condition("AutoscalingActive")["message"] == reason(namespace)

    def told() -> dict[str, Any]:
        decision: dict[str, Any] = loads.decision or {}
        return decision if decision.get("floor") == 10 else {}

    decision = eventually(told, "the decision to be pushed")
    assert (decision["workers"], decision["min"], decision["max"]) == (10, 3, 10)
    assert decision["sentence"] == reason(namespace)
    loads.set()
    eventually(lambda: numbers(namespace)[0] == 3, "the floor to fall")
    assert numbers(namespace) == (3, 10), "the workers are the autoscaler's to lower"


def test_busy_pods_are_marked_when_pods_may_leave_and_not_before(
    operator: OperatorProcess, namespace: Namespace, loads: LoadServer
) -> None:
    namespace.apply()
    settled(namespace)
    loads.set(300, 300.0)
    eventually(lambda: len(marks(namespace)) == 10, "the pods")
    busy, brief, *_ = sorted(marks(namespace))
    loads.set(300, 300.0, {busy: 200.0})
    eventually(lambda: (loads.asked[-1]["seen"] or "").startswith(f"300:300.0:[('{busy}"), "the busy pod to be known")
    assert set(marks(namespace).values()) == {None}, "no pod has to leave"
    loads.set(0, 0.0, {busy: 150.0, brief: 1.0})
    eventually(lambda: numbers(namespace)[0] == 3, "the floor to fall")
    assert {pod: mark for pod, mark in marks(namespace).items() if mark} == {busy: "104"}, "marked before the floor fell"
    loads.set()
    eventually(lambda: set(marks(namespace).values()) == {None}, "the mark of the idle pod to go")


def test_an_api_out_of_reach_leaves_it_to_cpu_and_a_restart_forgets_nothing(
    operator: OperatorProcess, namespace: Namespace, loads: LoadServer
) -> None:
    namespace.apply()
    settled(namespace)
    loads.set(150, 150.0)
    eventually(lambda: numbers(namespace) == (5, 5), "five workers")
    before = settled(namespace)
    operator.stop()
    loads.close()
    operator.start()
    eventually(lambda: operator.passes() >= 1, "the first pass after the restart")
    assert namespace.versions() == before, "a load that is not known yet is no reason to write"
    eventually(lambda: numbers(namespace)[0] == 3, "the floor to fall back", seconds=60)
    eventually(lambda: "out of reach (no API pod answers), so CPU alone decides" in reason(namespace), "that to be told")


def test_an_idle_pipeline_is_asked_once_in_ten_minutes_and_nothing_goes_with_it(
    operator: OperatorProcess, namespace: Namespace, loads: LoadServer
) -> None:
    bring_to_rest(namespace, loads)
    asked, passes = len(loads.asked), operator.passes()
    namespace.kubectl("annotate", "fib", "demo", "touched=yes")
    eventually(lambda: operator.passes() > passes, "a pass")
    assert len(loads.asked) == asked, "one question, that waits ten minutes"
    assert set(loads.asked[-1]) == {"seen", "wait"}
    assert loads.most_at_once == 1


def test_a_decision_that_changes_while_nothing_is_queued_is_pushed_at_once_and_only_once(
    operator: OperatorProcess, namespace: Namespace, loads: LoadServer
) -> None:
    bring_to_rest(namespace, loads)
    asked, decisions = len(loads.asked), loads.decisions
    namespace.apply({"worker": {"autoscaling": {"maxReplicas": 7}}})
    eventually(lambda: (loads.decision or {}).get("max") == 7, "the new bounds to be pushed", seconds=5)
    settled(namespace)
    assert (len(loads.asked), loads.decisions) == (asked, decisions + 1)


def test_a_push_that_is_refused_or_lost_is_repeated(operator: OperatorProcess, namespace: Namespace, loads: LoadServer) -> None:
    bring_to_rest(namespace, loads)
    loads.refuses = 2
    namespace.apply({"worker": {"autoscaling": {"maxReplicas": 7}}})
    eventually(lambda: (loads.decision or {}).get("max") == 7, "the refused push to be repeated")
    loads.keep(None)  # as after the loss of the database
    loads.set(1, 1.0)
    eventually(lambda: (loads.decision or {}).get("max") == 7, "the API's next answer to tell that it lost the decision")


def test_the_app_of_the_release_before_is_asked_and_told_in_its_own_way(
    operator: OperatorProcess, namespace: Namespace, loads: LoadServer
) -> None:
    loads.old = True
    namespace.apply()
    settled(namespace)
    eventually(lambda: loads.asked and loads.asked[-1]["wait"] == 55, "the poll to rest")
    loads.set(300, 300.0)
    eventually(lambda: numbers(namespace) == (10, 10), "all workers to be asked for")
    eventually(lambda: (loads.decision or {}).get("floor") == 10, "the decision to come with the next poll")
    loads.old = False
    loads.set(299, 200.0)
    namespace.apply({"worker": {"autoscaling": {"maxReplicas": 12}}})
    eventually(lambda: (loads.decision or {}).get("max") == 12, "the new app to be told in the new way")


def test_a_restarted_api_is_told_the_decision_without_waiting_for_work(
    operator: OperatorProcess, namespace: Namespace, loads: LoadServer
) -> None:
    bring_to_rest(namespace, loads)
    loads.keep(None)
    loads.hang_up()
    eventually(lambda: (loads.decision or {}).get("max") == 10, "the decision to be pushed again")
    eventually(lambda: idle(loads), "the poll to rest again")


def test_without_autoscaling_the_page_is_told_so_and_work_changes_nothing(
    operator: OperatorProcess, namespace: Namespace, loads: LoadServer
) -> None:
    namespace.apply({"worker": {"autoscaling": {"enabled": False}}})
    before = settled(namespace)
    assert "autoscaling is off" in reason(namespace)
    loads.set(300, 300.0)
    eventually(lambda: (loads.decision or {}).get("sentence") == reason(namespace), "the page to be told")
    assert (loads.decision or {})["max"] == 3
    assert settled(namespace) == before


def test_a_changed_setting_costs_the_write_of_its_child_and_two_of_the_status(
    operator: OperatorProcess, namespace: Namespace, loads: LoadServer, control_plane: BareControlPlane
) -> None:
    namespace.apply()
    eventually(lambda: idle(loads) and "nothing is queued" in reason(namespace), "the pipeline to rest")
    settled(namespace)
    audit, user = Audit(control_plane.audit_log), "system:serviceaccount:fibpipeline-system:fibpipeline-operator"
    for concurrency in range(2, 8):
        mark = audit.mark()
        namespace.apply({"worker": {"concurrency": concurrency}})
        eventually(lambda generation=concurrency: rolls(namespace, generation), "the rollout to be told")
        settled(namespace)
        sent = [(request.verb, request.resource) for request in audit.since(mark, user) if request.namespace == namespace.name]
        assert sent == [("patch", "deployments"), ("patch", "fibpipelines/status"), ("patch", "fibpipelines/status")]
