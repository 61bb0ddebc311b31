"""What somebody does to the children again and again, or adds to them: a real API server decides what an apply takes back."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from fiboperator.contention import FREE_REPAIRS
from lab.audit import Audit, Request
from lab.bare import BareControlPlane
from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.waiting import eventually

USER = "system:serviceaccount:fibpipeline-system:fibpipeline-operator"


def test_what_is_added_to_selectors_and_policies_is_taken_back(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply()
    settled(namespace)
    before = {key: child.get("spec") for key, child in namespace.children().items()}
    added = {
        "Service/demo-api": {"selector": {"x": "y"}},
        "NetworkPolicy/demo-api": {"podSelector": {"matchLabels": {"x": "y"}}},
        "NetworkPolicy/demo-worker": {"ingress": [{}]},
        "PodDisruptionBudget/demo-api": {"selector": {"matchLabels": {"x": "y"}}},
    }
    for key, spec in added.items():
        namespace.kubectl("patch", key, "--type=merge", "-p", json.dumps({"spec": spec}))
    eventually(lambda: all(namespace.children()[key]["spec"] == before[key] for key in added), "the additions to be taken back")
    calm = settled(namespace)
    assert settled(namespace) == calm, "and nothing is written any more"


def test_a_child_keeps_its_pipeline_whatever_label_it_is_given(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply()
    settled(namespace)
    passwords = namespace.passwords()
    labels = {"Deployment/demo-worker": "app.kubernetes.io/instance"} | {
        f"Secret/demo-{component}": "fibpipeline.io/pipeline" for component in ("rabbitmq", "flower")
    }
    for key, label in labels.items():

        def mended(key: str = key, label: str = label) -> bool:
            return bool(namespace.children()[key]["metadata"]["labels"].get(label) == "demo")

        namespace.kubectl("label", "--overwrite", key, f"{label}=argo-app")
        eventually(mended, f"{key} to be mended")
        namespace.kubectl("label", key, f"{label}-")
        eventually(mended, f"{key} to be mended again")
    settled(namespace)
    assert namespace.passwords() == passwords


def test_at_rest_the_operator_writes_nothing_but_its_lease(
    operator: OperatorProcess, namespace: Namespace, control_plane: BareControlPlane
) -> None:
    namespace.apply()
    # No kubelet runs the API here; what the operator cannot learn from it is said once.
    eventually(lambda: "out of reach" in namespace.condition("AutoscalingActive").get("message", ""), "the last that there is to say", 60)
    settled(namespace)
    audit = Audit(control_plane.audit_log)
    mark = audit.mark()

    def written() -> list[Request]:
        return [request for request in audit.since(mark, USER) if request.writes]

    eventually(lambda: len([request for request in written() if request.resource == "leases"]) >= 2, "two renewals", 60)
    assert [request for request in written() if request.namespace == namespace.name] == []


def test_a_second_writer_is_named_and_no_longer_raced(
    operator: OperatorProcess, namespace: Namespace, control_plane: BareControlPlane
) -> None:
    namespace.apply()
    settled(namespace)
    audit = Audit(control_plane.audit_log)
    mark = audit.mark()
    theirs, ended = "#!/bin/sh", Event()

    def undo_repairs() -> None:
        while not ended.is_set():
            if namespace.children()["ConfigMap/demo-postgresql"]["data"]["ready.sh"] != theirs:
                patch = json.dumps({"data": {"ready.sh": theirs}})
                namespace.kubectl("patch", "configmap", "demo-postgresql", "--type=merge", "--field-manager=rival", "-p", patch)

    with ThreadPoolExecutor(1) as pool:
        rival = pool.submit(undo_repairs)
        try:
            eventually(lambda: namespace.condition().get("reason") == "Contested", "the contest to be named", 60)
            assert "rival" in namespace.condition()["message"]
            namespace.kubectl("delete", "service", "demo-api")
            eventually(lambda: "Service/demo-api" in namespace.children(), "everything else to be repaired as ever")
            repairs = [request for request in audit.since(mark, USER) if request.writes and request.resource == "configmaps"]
            assert FREE_REPAIRS <= len(repairs) <= FREE_REPAIRS + 2, "not at the speed of the API server"
        finally:
            ended.set()
        rival.result()
