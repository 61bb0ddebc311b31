"""The condition by which an operator says that it leaves a pipeline to another install. Pure functions.

It is written under a field manager of its own, so that it and the status of the install at work take nothing from each other.
"""

from typing import Any, Final

from .health import Verdict
from .resources.objects import Object

CONDITION: Final = "ManagedElsewhere"
MANAGER: Final = "fibpipeline-operator-aside"


def own(status: Object) -> Object:
    """A status without that condition: what the install at work has written."""
    conditions = [condition for condition in status.get("conditions", []) if condition["type"] != CONDITION]
    return {**status, "conditions": conditions} if "conditions" in status else status


def left(body: Object, me: str, other: str, lease: str, now: str) -> Object | None:
    """The status to write about a FibPipeline that is left to the install `other`; None when it is said already. `me` is our install."""
    verdict = Verdict(
        True,
        "ManagedElsewhere",
        f"{_opening(me)} leaves this pipeline alone: it belongs to the operator in {other}, by the Lease {lease} of namespace "
        f"{body['metadata']['namespace']}.",
    )
    said = _said(body)
    if said and said.get("message") == verdict.message:
        return None
    condition = {
        "type": CONDITION,
        "status": "True",
        "reason": verdict.reason,
        "message": verdict.message,
        "observedGeneration": body["metadata"]["generation"],
        "lastTransitionTime": said["lastTransitionTime"] if said else now,
    }
    return {"conditions": [condition]}


def is_over(body: Object, me: str) -> bool:
    """Whether the condition says that we leave a pipeline alone. Asked when we do not: then it is to be taken back."""
    said = _said(body)
    return bool(said and said.get("message", "").startswith(_opening(me)))


def _opening(me: str) -> str:
    return f"The operator in {me}"


def _said(body: Object) -> Any:
    conditions = (body.get("status") or {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == CONDITION), None)
