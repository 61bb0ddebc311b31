"""Watches and lists that lie, lag, stop or fall silent: the operator ends up with the truth, and destroys nothing on the way there."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fiboperator.connection import WATCH_SILENCE_SECONDS
from fiboperator.kinds import WATCHED_KINDS
from tests.cluster.conftest import OperatorProcess
from tests.cluster.faults.breakage import Compacted, Frozen, drop_before, filtered, silent
from tests.cluster.faults.conftest import Stage, has_looked_at
from tests.cluster.proxy import Proxy
from tests.waiting import eventually


def losing(*events: str) -> Callable[[bytes], bytes]:
    """Loses the events of these types."""
    return lambda line: b"" if json.loads(line)["type"] in events else line


BOTH = pytest.mark.parametrize("resource", ["fibpipelines", "services"])


def change(stage: Stage, resource: str) -> None:
    """Something that the operator must answer: a new spec, or a child that vanishes."""
    if resource == "fibpipelines":
        stage.apply({"api": {"replicas": 3}})
    else:
        stage.kubectl("delete", "service", "demo-api", "demo-flower")


def mended(stage: Stage, resource: str, clean: dict[str, Any]) -> None:
    """Wait until the answer is there, and take the change back."""
    if resource == "fibpipelines":
        eventually(lambda: stage.children()["Deployment/demo-api"]["spec"]["replicas"] == 3, "the new spec to be applied")
        stage.apply({"api": {"replicas": 2}})
        revision(stage)
    else:
        eventually(lambda: {"Service/demo-api", "Service/demo-flower"} <= {*stage.children()}, "the Services to come back")


def revision(stage: Stage) -> None:
    """The Deployment controller's count of templates stays as it is: replicas are no part of a template."""
    assert stage.children()["Deployment/demo-api"]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"


@BOTH
def test_row_11_a_lost_event_is_made_up_by_the_next_list(
    operator: OperatorProcess, stage: Stage, proxy: Proxy, clean: dict[str, Any], resource: str
) -> None:
    with proxy.rule(filtered(losing("MODIFIED", "DELETED")), verb="watch", resource=resource) as loss:
        proxy.cut_watches()
        eventually(lambda: loss.hits > 0, "the watch that loses events")
        stage.create()
        stage.becomes(clean)
        change(stage, resource)
    with proxy.rule(Compacted(), resource=resource, match=lambda call: call.verb in ("list", "watch")):
        proxy.cut_watches()
        mended(stage, resource, clean)
    stage.becomes(clean)
    stage.stays_through_restarts(operator)


@pytest.mark.parametrize(
    "resources",
    [pytest.param(["fibpipelines"], id="pipelines"), pytest.param([plural for _, plural in WATCHED_KINDS.values()], id="children")],
)
def test_row_12_stale_lists_destroy_nothing(
    operator: OperatorProcess, stage: Stage, proxy: Proxy, clean: dict[str, Any], resources: list[str]
) -> None:
    """After a restart the operator is shown what was before Flower was switched on, and for a while nothing else."""
    stage.create({"flower": {"enabled": False}})
    eventually(stage.converged, "a pipeline without Flower")
    with proxy.rule(Frozen(), verb="list", match=lambda call: call.resource in resources):
        operator.kill()
        operator.start()
        eventually(lambda: has_looked_at(operator, 1), "the lists to be remembered")
        stage.apply({"flower": {"enabled": True}})
        stage.becomes(clean)
        before, writes = stage.versions(), len(stage.writes())
        with proxy.rule(silent, verb="watch", match=lambda call: call.resource in resources):
            operator.kill()
            operator.start()
            eventually(lambda: has_looked_at(operator, 1), "a pass that knows only what was")
            assert stage.versions() == before
        proxy.cut_watches()
        stage.becomes(clean)
    # To apply once more what a stale list does not show is allowed: it changes nothing.
    assert {call.verb for call in stage.writes()[writes:]} <= {"patch"}
    assert stage.versions() == before
    stage.stays_through_restarts(operator)


def test_row_13_the_patience_with_a_silent_watch_is_bounded() -> None:
    assert 60 < WATCH_SILENCE_SECONDS <= 70, "the API server sends a bookmark each minute"


@BOTH
def test_row_13_a_silent_watch_is_left(
    impatient: OperatorProcess, stage: Stage, proxy: Proxy, clean: dict[str, Any], resource: str
) -> None:
    stage.create()
    stage.becomes(clean)
    with proxy.rule(silent, verb="watch", resource=resource, times=1) as rule:
        proxy.cut_watches()
        eventually(lambda: rule.hits == 1, "the watch to be caught in silence")
        change(stage, resource)
        mended(stage, resource, clean)
    stage.becomes(clean)
    stage.stays_through_restarts(impatient)


def test_an_edit_of_which_no_watch_tells_is_applied_and_so_is_a_new_pipeline(
    impatient: OperatorProcess, stage: Stage, proxy: Proxy, clean: dict[str, Any]
) -> None:
    """The stream stays alive, bookmarks and all, but no news come through: only a list shows them."""
    stage.create()
    stage.becomes(clean)
    with proxy.rule(filtered(losing("ADDED", "MODIFIED", "DELETED")), verb="watch", resource="fibpipelines") as loss:
        proxy.cut_watches()
        eventually(lambda: loss.hits > 0, "the watch that loses all news")
        change(stage, "fibpipelines")
        mended(stage, "fibpipelines", clean)
    stage.becomes(clean)
    impatient.kill()
    impatient.start()  # as its liveness probe may have asked for
    stage.stays_through_restarts(impatient)


@BOTH
def test_row_15_a_compacted_version_is_listed_anew(
    operator: OperatorProcess, stage: Stage, proxy: Proxy, clean: dict[str, Any], resource: str
) -> None:
    """What happened between the watches is in no watch any more."""
    stage.create()
    stage.becomes(clean)
    compacted = Compacted()
    with proxy.rule(compacted, resource=resource, match=lambda call: call.verb in ("list", "watch")):
        with proxy.rule(drop_before, match=lambda call: call.verb in ("list", "watch")) as outage:
            proxy.cut_watches()
            eventually(lambda: outage.hits > 0, "the watches to be cut")
            change(stage, resource)
        eventually(compacted.told.is_set, "the watch to be told")
        mended(stage, resource, clean)
    stage.becomes(clean)
    stage.stays_through_restarts(operator)
