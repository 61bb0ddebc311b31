"""What a person reads when something is in the way: the object, the reason and the remedy. There are no nodes: kubelets are played."""

import json

from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.waiting import eventually


def told(namespace: Namespace, kind: str, reason: str) -> str:
    """Wait for a condition to have a reason; returns its message."""
    eventually(lambda: namespace.condition(kind).get("reason") == reason, f"{kind} to be {reason}", seconds=60)
    return str(namespace.condition(kind)["message"])


def look_again(namespace: Namespace) -> None:
    """A pass at once; the operator would look by itself some seconds later."""
    namespace.kubectl("annotate", "--overwrite", "fib", "demo", f"look={namespace.pipeline()['metadata']['resourceVersion']}")


def test_a_quota_that_is_too_small_is_named_for_both_kinds_of_workload(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.kubectl("create", "quota", "small", "--hard=requests.cpu=100m")
    usage = ("get", "quota", "small", "-o", "jsonpath={.status.hard}")
    eventually(lambda: namespace.kubectl(*usage), "the quota to count")
    namespace.apply()
    for kind in ("BrokerReady", "DatabaseReady", "APIReady", "WorkersReady"):
        message = told(namespace, kind, "QuotaExceeded")
        assert "exceeded quota: small, requested: requests.cpu=" in message
        assert message.endswith("Raise that ResourceQuota, or ask for less in the spec.")
    assert "StatefulSet demo-rabbitmq: " in namespace.condition()["message"]
    assert "QuotaExceeded" in namespace.kubectl("get", "fib")
    namespace.kubectl("delete", "quota", "small")
    # A controller that was refused waits a while before it tries again: a restart of the workload does not.
    namespace.kubectl("delete", "statefulset", "demo-rabbitmq")
    eventually(lambda: namespace.condition("BrokerReady").get("reason") == "Progressing", "the broker to get its pod", seconds=60)


def test_a_quota_on_objects_is_named_too(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.kubectl("create", "quota", "few", "--hard=count/services=1")
    eventually(lambda: namespace.kubectl("get", "quota", "few", "-o", "jsonpath={.status.hard}"), "the quota to count")
    namespace.apply()
    assert "exceeded quota: few, requested: count/services=1" in told(namespace, "Ready", "QuotaExceeded")
    namespace.kubectl("delete", "quota", "few")
    look_again(namespace)
    told(namespace, "Ready", "WaitingForBroker")


def test_a_tls_secret_that_is_missing(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply({"ingress": {"tls": {"secretName": "cert"}}})
    message = told(namespace, "Exposed", "TLSSecretNotFound")
    assert "Secret cert, named by spec.ingress.tls.secretName, does not exist" in message
    assert f"kubectl -n {namespace.name} create secret tls cert" in message
    namespace.kubectl("create", "secret", "generic", "cert", "--from-literal=tls.crt=x")
    eventually(lambda: "lacks tls.key" in namespace.condition("Exposed")["message"], "the half of it to be seen")
    namespace.kubectl("delete", "secret", "cert")
    namespace.kubectl("create", "secret", "generic", "cert", "--from-literal=tls.crt=x", "--from-literal=tls.key=y")
    told(namespace, "Exposed", "NoAddress")


def test_an_external_secret_that_is_missing(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply({"postgresql": {"external": {"secretName": "store"}}})
    message = told(namespace, "DatabaseReady", "SecretNotFound")
    assert f"Secret store in namespace {namespace.name}, named by spec.postgresql.external.secretName, does not exist" in message
    namespace.kubectl("create", "secret", "generic", "store", "--from-literal=uri=postgresql://u:hidden-word@h/d")
    told(namespace, "DatabaseReady", "External")
    assert "hidden-word" not in json.dumps(namespace.pipeline()) + operator.log.read_text()


def test_row_49_a_pod_stuck_on_a_bad_image_is_named_and_replaced_once_the_image_is_right(
    operator: OperatorProcess, namespace: Namespace
) -> None:
    namespace.apply({"postgresql": {"image": "nowhere/postgres:1x"}})
    settled(namespace)
    waiting = {"name": "postgresql", "image": "nowhere/postgres:1x", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [{**waiting, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    namespace.play_kubelet("demo-postgresql-0", status)
    message = told(namespace, "DatabaseReady", "Degraded")
    assert "Pod demo-postgresql-0, container postgresql: ImagePullBackOff nowhere/postgres:1x" in message
    namespace.apply({"postgresql": {"image": "postgres:18"}})
    image = ("get", "pod", "demo-postgresql-0", "--ignore-not-found", "-o", "jsonpath={.spec.containers[0].image}")
    eventually(lambda: namespace.kubectl(*image) == "postgres:18", "a pod with the right image", interval=0.5)
    told(namespace, "DatabaseReady", "Progressing")


def test_a_volume_whose_class_is_missing(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply({"rabbitmq": {"storage": {"storageClassName": "fast"}}})
    settled(namespace)
    message = "0/5 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    namespace.play_kubelet("demo-rabbitmq-0", {"conditions": [condition]})
    reason = 'PersistentVolumeClaim data-demo-rabbitmq-0 waits for a volume (class fast): storageclass.storage.k8s.io "fast" not found'
    eventually(lambda: reason in namespace.condition("BrokerReady")["message"], "the missing class to be named", seconds=60)
    assert namespace.condition()["reason"] == "VolumePending"


def test_events_once_a_transition(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.kubectl("create", "configmap", "demo-postgresql", "--from-literal=mine=yes")
    namespace.apply()
    told(namespace, "Ready", "Conflict")
    for _ in range(3):
        passes = operator.passes()
        look_again(namespace)
        eventually(lambda before=passes: operator.passes() > before, "another pass")  # type: ignore[misc]
    events = json.loads(namespace.kubectl("get", "events", "--field-selector=involvedObject.kind=FibPipeline", "-o", "json"))["items"]
    assert [event["reason"] for event in events] == ["Conflict"]
    assert "Conflict" in namespace.kubectl("describe", "fib", "demo")


def test_kubectl_scale_is_told_to_have_no_effect_while_autoscaling_is_on(operator: OperatorProcess, namespace: Namespace) -> None:
    def ignored() -> list[str]:
        events = json.loads(namespace.kubectl("get", "events", "--field-selector=reason=ScaleIgnored", "-o", "json"))["items"]
        return sorted(event["message"].split(",")[0] for event in events)

    namespace.apply()
    settled(namespace)
    namespace.kubectl("scale", "fib/demo", "--replicas=5")
    eventually(ignored, "the event")
    for _ in range(2):
        passes = operator.passes()
        look_again(namespace)
        eventually(lambda before=passes: operator.passes() > before, "another pass")  # type: ignore[misc]
    operator.stop()
    operator.start()
    eventually(lambda: operator.passes() >= 1, "the first pass after the restart")
    namespace.kubectl("scale", "fib/demo", "--replicas=6")
    eventually(lambda: len(ignored()) >= 2, "the second event")
    assert ignored() == ["kubectl scale asked for 5 workers", "kubectl scale asked for 6 workers"]
    assert namespace.children()["Deployment/demo-worker"]["spec"]["replicas"] == 3
    assert namespace.pipeline()["status"]["worker"]["ignoredReplicas"] == 6
