"""Rollouts that have no room for one more pod: pure functions from live objects to the components that roll without surplus pods."""

from collections.abc import Mapping
from typing import Any, Final

from .blocking import unschedulable
from .children import ChildKey, of_component
from .errors import QUOTA_EXCEEDED
from .names import Component
from .resources.objects import Object

# What the scheduler says when all nodes are full. Other words, such as those about a selector, tell of a mistake in the spec: then the
# old pods stay.
_NO_ROOM: Final = ("Insufficient", "Too many pods")


def cramped(live: Mapping[ChildKey, Object]) -> frozenset[Component]:
    """The components whose rollout must take an old pod away before it can add a new one."""
    return frozenset(
        component
        for component in (Component.API, Component.WORKER)
        for deployment in of_component(live, "Deployment", component)
        if _has_old_pods(deployment) and (_is_refused(deployment) or _is_without_room(deployment, live, component) or _yields(deployment))
    )


def _has_old_pods(deployment: Object) -> bool:
    status = deployment.get("status", {})
    return bool(status.get("replicas", 0) > status.get("updatedReplicas", 0))


def _is_refused(deployment: Object) -> bool:
    failure = _condition(deployment, "ReplicaFailure")
    return failure.get("status") == "True" and QUOTA_EXCEEDED in str(failure.get("message", ""))


def _is_without_room(deployment: Object, live: Mapping[ChildKey, Object], component: Component) -> bool:
    # Only after progressDeadlineSeconds: a node autoscaler may be about to add a node.
    if _condition(deployment, "Progressing").get("reason") != "ProgressDeadlineExceeded":
        return False
    return any(word in unschedulable(pod) for pod in of_component(live, "Pod", component) for word in _NO_ROOM)


def _yields(deployment: Object) -> bool:
    """Whether it was cramped before: until the rollout is complete it stays so, or each new pod would meet the same refusal."""
    return bool(deployment["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxUnavailable") == 1)


def _condition(live: Object, kind: str) -> dict[str, Any]:
    return next((condition for condition in live.get("status", {}).get("conditions", []) if condition["type"] == kind), {})
