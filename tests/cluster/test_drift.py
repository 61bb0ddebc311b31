"""What somebody adds to the children, where nothing is missing from them: a real API server decides what an apply takes back."""

import json

from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.waiting import eventually


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
