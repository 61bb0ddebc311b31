"""Rights taken away, the CRD taken away, a second operator, a successor under the same name, a spec that the API server refuses."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.settings import REPOSITORY
from tests.cluster.conftest import OperatorProcess
from tests.cluster.faults.breakage import silent
from tests.cluster.faults.conftest import Stage
from tests.cluster.kubectl import Kubectl
from tests.cluster.proxy import Proxy
from tests.waiting import eventually


@contextmanager
def revoked(kubectl: Kubectl, verb: str, resource: str) -> Iterator[None]:
    """The operator's role without a verb on a resource."""
    role = json.loads(kubectl("get", "clusterrole", "fibpipeline-operator", "-o", "json"))
    whole = role["rules"]

    def write(rules: list[dict[str, Any]]) -> None:
        patch = json.dumps([{"op": "replace", "path": "/rules", "value": rules}])
        kubectl("patch", "clusterrole", "fibpipeline-operator", "--type=json", "-p", patch)

    less = [
        {**rule, "resources": [one], "verbs": [word for word in rule["verbs"] if (word, one) != (verb, resource)]}
        for rule in whole
        for one in rule["resources"]
    ]
    write([rule for rule in less if rule["verbs"]])
    try:
        yield
    finally:
        write(whole)


@pytest.mark.parametrize("verb", ["patch", "list"])
def test_row_17_a_missing_right_is_named_and_its_return_noticed(
    impatient: OperatorProcess, stage: Stage, kubectl: Kubectl, clean: dict[str, Any], verb: str
) -> None:
    with revoked(kubectl, verb, "services"):
        if verb == "list":  # only a beginner lists
            impatient.kill()
            impatient.start()
        stage.create()
        eventually(lambda: stage.condition().get("reason") == "Forbidden", "the refusal to be told")
        message = stage.condition()["message"]
        assert verb in message and "services" in message, message
    stage.becomes(clean)
    stage.stays_through_restarts(impatient)


def test_row_17_a_status_that_may_not_be_written_is_written_later(
    impatient: OperatorProcess, stage: Stage, kubectl: Kubectl, clean: dict[str, Any]
) -> None:
    with revoked(kubectl, "patch", "fibpipelines/status"):
        stage.create()
        children = {key: body for key, body in clean.items() if key != "status"}
        eventually(lambda: {key: body for key, body in stage.picture().items() if key != "status"} == children, "the children")
        assert stage.pipeline().get("status", {}) == {}
    stage.becomes(clean)
    stage.stays_through_restarts(impatient)


@pytest.mark.parametrize("hears", [True, False], ids=["heard of", "not heard of"])
def test_row_18_the_crd_deleted_and_put_back(
    impatient: OperatorProcess, stage: Stage, kubectl: Kubectl, proxy: Proxy, clean: dict[str, Any], hears: bool
) -> None:
    """Either it goes on, or it says by its liveness probe that it must be restarted, as a kubelet would do."""
    stage.create()
    stage.becomes(clean)
    credentials = stage.passwords()
    with proxy.rule(silent, verb="watch", resource="customresourcedefinitions", times=0 if hears else None):
        proxy.cut_watches()
        try:
            kubectl("delete", "crd", "fibpipelines.fibpipeline.io")
        finally:
            kubectl("apply", "-f", str(REPOSITORY / "deploy/install.yaml"))
            kubectl("wait", "crd/fibpipelines.fibpipeline.io", "--for=condition=Established", "--timeout=30s")
        eventually(lambda: accepted(stage), "a pipeline to be accepted")
        # The garbage collector looks for kinds that are new each half a minute; until then the old pipeline's children are in the way.
        if eventually(lambda: "restart" if not impatient.is_alive() else stage.is_as(clean), "one or the other", 120) == "restart":
            impatient.kill()
            impatient.start()
    stage.becomes(clean, 120)
    assert stage.passwords() == credentials
    stage.stays_through_restarts(impatient)


def accepted(stage: Stage) -> bool:
    """Create the pipeline; the API server may need a moment until it knows the kind again."""
    try:
        stage.create()
    except httpx.HTTPStatusError:
        return False
    return True


def test_row_19_a_successor_owes_nothing_to_the_pipeline_before(
    operator: OperatorProcess, stage: Stage, proxy: Proxy, clean: dict[str, Any]
) -> None:
    """The operator does not hear of the deletion until the successor is there."""
    stage.create()
    stage.becomes(clean)
    with proxy.rule(silent, verb="watch", resource="fibpipelines") as silence:
        proxy.cut_watches()
        eventually(lambda: silence.hits > 0, "the watch to be caught in silence")
        stage.delete()
        stage.create()
    proxy.cut_watches()
    stage.becomes(clean)
    owners = {owner["uid"] for child in stage.children().values() for owner in child["metadata"].get("ownerReferences", [])}
    assert owners == {stage.pipeline()["metadata"]["uid"]}
    stage.stays_through_restarts(operator)


def test_row_21_two_operators_do_not_fight(
    operator: OperatorProcess, stage: Stage, proxied_kubeconfig: Path, tmp_path: Path, clean: dict[str, Any]
) -> None:
    """One works, the other waits; it takes over when the first was killed, as soon as its Lease has expired."""
    second = OperatorProcess(proxied_kubeconfig, tmp_path / "second.log")
    second.variables["POD_NAME"] = "second"
    second.start()
    try:
        stage.create()
        stage.becomes(clean)
        passwords, writes = stage.passwords(), len(stage.writes())
        before = operator.passes()
        stage.kubectl("annotate", "fib", "demo", "touched=yes")
        eventually(lambda: operator.passes() > before, "the first to look")
        assert second.passes() == 0
        assert stage.writes()[writes:] == []
        operator.kill()
        stage.kubectl("delete", "service", "demo-api")
        stage.becomes(clean)
        assert stage.passwords() == passwords
        stage.stays_through_restarts(second)
    finally:
        second.stop()


def test_rows_22_and_24_what_the_api_server_refuses_harms_nothing_and_is_not_tried_for_ever(
    operator: OperatorProcess, stage: Stage, clean: dict[str, Any]
) -> None:
    stage.create()
    stage.becomes(clean)
    writes = len(stage.writes())
    stage.apply({"worker": {"nodeSelector": {"no label!": "x"}}})
    eventually(lambda: stage.condition().get("reason") == "Refused", "the refusal to be told")
    assert "Deployment demo-worker" in stage.condition()["message"]
    assert {key: body for key, body in stage.picture().items() if key != "status"} == {
        key: body for key, body in clean.items() if key != "status"
    }
    tried = [call for call in stage.writes()[writes:] if call.resource == "deployments"]
    assert len(tried) <= 2
    passes = operator.passes()
    stage.kubectl("annotate", "fib", "demo", "touched=yes")
    eventually(lambda: operator.passes() > passes, "another look")
    stage.apply({"worker": {"nodeSelector": {}}})
    stage.becomes(clean)
    stage.stays_through_restarts(operator)
