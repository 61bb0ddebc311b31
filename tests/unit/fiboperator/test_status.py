"""The status as a pure function."""

from typing import Any

from fiboperator import status
from fiboperator.evidence import Evidence
from fiboperator.health import Verdict
from fiboperator.spec import parse
from fiboperator.status import Problem
from tests.pipelines import fibpipeline

WORKERS = Verdict(False, "FailedGetContainerResourceMetric", "3 of 3-10 workers: nothing is queued; no metrics.")
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


def _counts(replicas: int) -> dict[str, Any]:
    counts = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
    return {"observedGeneration": 1, **dict.fromkeys(counts, replicas)}


def ready_children() -> dict[tuple[str, str], dict[str, Any]]:
    def workload(kind: str, name: str, replicas: int) -> dict[str, Any]:
        return {
            "kind": kind,
            "metadata": {"name": name, "generation": 1, "labels": {}},
            "spec": {"replicas": replicas},
            "status": _counts(replicas),
        }

    found = [
        workload("StatefulSet", "demo-rabbitmq", 1),
        workload("StatefulSet", "demo-postgresql", 1),
        workload("Deployment", "demo-api", 2),
        workload("Deployment", "demo-worker", 3),
        workload("Deployment", "demo-flower", 1),
        {
            "kind": "Ingress",
            "metadata": {"name": "demo", "labels": {}},
            "status": {"loadBalancer": {"ingress": [{"hostname": "fib.local"}]}},
        },
    ]
    return {(child["kind"], child["metadata"]["name"]): child for child in found}


def of(
    children: dict[tuple[str, str], dict[str, Any]],
    spec: dict[str, Any] | None = None,
    problem: Problem | None = None,
    previous: dict[str, Any] | None = None,
    now: str = NOW,
    evidence: Evidence | None = None,
) -> dict[str, Any]:
    return status.of_pipeline(parse(fibpipeline(spec)), children, evidence or Evidence(), problem, WORKERS, previous or {}, now, "0.1.0")


def condition(found: dict[str, Any], kind: str) -> dict[str, Any] | None:
    return next((entry for entry in found["conditions"] if entry["type"] == kind), None)


def test_everything_ready() -> None:
    found = of(ready_children())
    ready = condition(found, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"], ready["observedGeneration"]) == ("True", "Available", 1)
    assert condition(found, "Reconciling") is None
    assert condition(found, "Stalled") is None
    assert found["url"] == "http://fib.local/api"
    assert found["flowerURL"] == "http://fib.local/flower"
    assert found["worker"]["ready"] == "3/3"
    assert "app.kubernetes.io/component=worker" in found["worker"]["selector"]
    autoscaling = condition(found, "AutoscalingActive")
    assert autoscaling is not None
    assert found["worker"]["reason"] == autoscaling["message"] == WORKERS.message


def test_the_first_component_that_is_not_ready_names_itself() -> None:
    children = ready_children()
    children["StatefulSet", "demo-rabbitmq"]["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    children["Deployment", "demo-api"]["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    found = of(children)
    ready, reconciling = condition(found, "Ready"), condition(found, "Reconciling")
    assert ready is not None
    assert ready["reason"] == "WaitingForBroker"
    assert reconciling is not None
    assert reconciling["message"] == ready["message"] == "StatefulSet demo-rabbitmq: 0 of 1 pods are ready."


def test_what_is_in_the_way_is_named_before_what_takes_its_time() -> None:
    children = ready_children()
    children["StatefulSet", "demo-rabbitmq"]["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    full = "exceeded quota: tiny"
    children["Deployment", "demo-api"]["status"] = {
        "observedGeneration": 1,
        "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": full}],
    }
    ready = condition(of(children), "Ready")
    assert ready is not None
    assert ready["reason"] == "QuotaExceeded"
    assert full in ready["message"]


def test_exposed_and_autoscaling_are_no_part_of_ready() -> None:
    children = ready_children()
    children["Ingress", "demo"]["status"] = {}
    found = of(children)
    exposed, ready = condition(found, "Exposed"), condition(found, "Ready")
    assert exposed is not None and ready is not None
    assert exposed["status"] == "False"
    assert "port-forward svc/demo-api 8080:80" in exposed["message"]
    assert ready["status"] == "True"
    assert "url" not in found


def test_times_move_only_on_flips() -> None:
    children = ready_children()
    first = of(children)
    assert of(children, previous=first, now=LATER) == first, "an equal status is not written"
    children["Deployment", "demo-flower"]["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    second = of(children, previous=first, now=LATER)
    flower, api, ready = (condition(second, kind) for kind in ("FlowerReady", "APIReady", "Ready"))
    assert flower is not None and api is not None and ready is not None
    assert (flower["lastTransitionTime"], ready["lastTransitionTime"], api["lastTransitionTime"]) == (LATER, LATER, NOW)


def test_a_problem_that_only_a_person_ends_is_stalled() -> None:
    found = of(ready_children(), problem=Problem("Conflict", "Service demo-api exists"))
    assert condition(found, "Stalled") is not None
    assert condition(found, "Reconciling") is None
    transient = of(ready_children(), problem=Problem("ReconcileError", "no answer"))
    assert condition(transient, "Reconciling") is not None


def test_paused_says_so() -> None:
    ready = condition(of(ready_children(), {"paused": True}), "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("True", "Paused")


def test_what_is_external_or_off_needs_no_workload() -> None:
    children = ready_children()
    del children["StatefulSet", "demo-rabbitmq"], children["Deployment", "demo-flower"]
    found = of(children, {"rabbitmq": {"external": {"secretName": "mine"}}, "flower": {"enabled": False}})
    broker, ready = condition(found, "BrokerReady"), condition(found, "Ready")
    assert broker is not None and ready is not None
    assert (broker["reason"], ready["status"]) == ("External", "True")
    assert condition(found, "FlowerReady") is None
    assert "flowerURL" not in found


def test_an_external_service_is_unknown_until_those_that_log_in_to_it_are_ready() -> None:
    children = ready_children()
    spec = {"postgresql": {"external": {"secretName": "store"}}, "rabbitmq": {"external": {"secretName": "broker"}}}
    children["Deployment", "demo-api"]["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    found = of(children, spec)
    database, broker, ready = (condition(found, kind) for kind in ("DatabaseReady", "BrokerReady", "Ready"))
    assert database is not None and broker is not None and ready is not None
    assert (database["status"], database["reason"], broker["status"]) == ("Unknown", "External", "True")
    assert database["message"].endswith("What it answered: kubectl -n flask-celery logs deployment/demo-api --all-containers --tail=20")
    assert (ready["status"], ready["message"]) == ("False", "Deployment demo-api: 0 of 2 pods are ready.")


def test_a_pod_that_cannot_run_is_named_before_a_component_that_only_waits() -> None:
    children = ready_children()
    children["Deployment", "demo-api"]["status"] |= {"replicas": 3}
    waiting = {"name": "migrate", "image": "nowhere/app:1", "state": {"waiting": {"reason": "ErrImagePull"}}}
    pod = {
        "kind": "Pod",
        "metadata": {"name": "demo-api-x", "labels": {"app.kubernetes.io/component": "api"}},
        "spec": {"nodeName": "node-1"},
        "status": {"initContainerStatuses": [waiting]},
    }
    children["Pod", "demo-api-x"] = pod
    children["Deployment", "demo-flower"]["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    ready = condition(of(children), "Ready")
    assert ready is not None
    assert ready["reason"] == "Degraded"
    assert ready["message"].startswith("Pod demo-api-x, container migrate: ImagePullBackOff nowhere/app:1.")


def test_an_unreadable_spec_keeps_what_was_known() -> None:
    before = of(ready_children())
    found = status.of_unreadable(2, Problem("InvalidSpec", "spec.api: missing"), before, LATER)
    ready, broker = condition(found, "Ready"), condition(found, "BrokerReady")
    assert ready is not None and broker is not None
    assert (ready["status"], ready["reason"], ready["observedGeneration"]) == ("False", "InvalidSpec", 2)
    assert broker["status"] == "True"
    assert found["observedGeneration"] == 2


def test_an_event_a_transition_and_none_between() -> None:
    children = ready_children()
    children["StatefulSet", "demo-rabbitmq"]["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    waiting = of(children)
    assert status.transitions({}, waiting) == [], "that a new pipeline is under way is no news"
    told = [("Normal", "WaitingForBroker", "StatefulSet demo-rabbitmq: 0 of 1 pods are ready.")]
    assert status.transitions(of(ready_children()), waiting) == told
    assert status.transitions({}, of(ready_children(), problem=Problem("Conflict", "taken")))[0][1] == "Conflict"
    assert status.transitions(waiting, waiting) == []
    available = of(ready_children(), previous=waiting)
    assert status.transitions(waiting, available)[0][:2] == ("Normal", "Available")
    conflict = of(ready_children(), problem=Problem("Conflict", "taken"), previous=available)
    assert status.transitions(available, conflict)[0][:2] == ("Warning", "Conflict")


def test_a_named_secret_that_is_missing_is_told_where_it_is_needed() -> None:
    spec = {"rabbitmq": {"external": {"secretName": "mine"}}, "ingress": {"tls": {"secretName": "cert"}}}
    found = of(ready_children(), spec, evidence=Evidence({"mine": "lacks uri", "cert": "does not exist"}))
    broker, ready, exposed = (condition(found, kind) for kind in ("BrokerReady", "Ready", "Exposed"))
    assert broker is not None and ready is not None and exposed is not None
    assert (broker["status"], broker["reason"], ready["reason"]) == ("False", "SecretNotFound", "SecretNotFound")
    assert broker["message"] == (
        "Secret mine in namespace flask-celery, named by spec.rabbitmq.external.secretName, lacks uri. "
        "Nothing is changed until its key uri names the service: kubectl -n flask-celery create secret generic mine "
        "--from-literal=uri=amqp://... --dry-run=client -o yaml | kubectl -n flask-celery apply -f -"
    )
    assert (exposed["status"], exposed["reason"]) == ("False", "TLSSecretNotFound")
    assert exposed["message"].startswith("Secret cert, named by spec.ingress.tls.secretName, does not exist. ")
    only_tls = condition(of(ready_children(), {"ingress": {"tls": {"secretName": "cert"}}}, evidence=Evidence({"cert": "x"})), "Ready")
    assert only_tls is not None and only_tls["status"] == "True", "the way in is no part of Ready"


def test_an_ignored_scale_is_told_once_for_each_number() -> None:
    def scaled(replicas: int, **autoscaling: Any) -> dict[str, Any]:
        spec = {"worker": {"replicas": replicas, "autoscaling": autoscaling}}
        entries = [{"manager": "kubectl", "subresource": "scale"}]
        pipeline = parse(fibpipeline(spec, managedFields=entries))
        return status.of_pipeline(pipeline, ready_children(), Evidence(), None, WORKERS, {}, NOW, "0.1.0")

    calm, five, six = of(ready_children()), scaled(5), scaled(6)
    assert "ignoredReplicas" not in calm["worker"]
    [(kind, reason, message)] = status.transitions(calm, five)
    assert (kind, reason) == ("Warning", "ScaleIgnored")
    assert "asked for 5 workers" in message
    assert "spec.worker.autoscaling.enabled" in message
    assert status.transitions(five, five) == []
    assert [reason for _, reason, _ in status.transitions(five, six)] == ["ScaleIgnored"]
    obeyed = scaled(5, enabled=False)
    assert "ignoredReplicas" not in obeyed["worker"]
    assert "ScaleIgnored" not in [reason for _, reason, _ in status.transitions(calm, obeyed)]
