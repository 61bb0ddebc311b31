"""Why there are as many workers as there are: one sentence with the numbers in it, and what stands in the way. Pure."""

from collections.abc import Mapping

from . import health, names
from .autoscale import Reading, amount, needed
from .blocking import Blockage, Told, blockage
from .children import ChildKey, of_component
from .health import Verdict
from .names import Component
from .resources.objects import Object
from .spec import Pipeline, Worker

NOT_THERE = "WaitingForWorkers"
_CPU_STEP = 10


def explain(pipeline: Pipeline, reading: Reading, children: Mapping[ChildKey, Object], told: Told) -> Verdict:
    """The condition AutoscalingActive; its message is also `status.worker.reason`. `told` is what Events say of children in trouble.

    A figure is rounded, and left out where it decides nothing: a sentence that moves by itself would be a write each time.
    """
    name = names.child_name(pipeline.name, Component.WORKER)
    deployment = children.get(("Deployment", name))
    worker = pipeline.spec.worker
    blocked = _blocked(deployment, children, told)
    if not worker.autoscaling.enabled:
        head = f"{worker.replicas} workers, the number in spec.worker.replicas: autoscaling is off"
        return Verdict(False, "ScalingDisabled", _sentence(head, blocked.message if blocked else ""))
    autoscaler = children.get(("HorizontalPodAutoscaler", name))
    if deployment is None or autoscaler is None:
        return Verdict(False, NOT_THERE, "The workers or their HorizontalPodAutoscaler do not exist yet.")
    acting = _acting(autoscaler, worker)
    reason, remarks = acting.reason, [_work(worker, reading), acting.message]
    if reading.load and needed(reading.load, worker) > worker.autoscaling.max_replicas:
        remarks.append("more would be needed than spec.worker.autoscaling.maxReplicas allows")
        reason = "TooFewReplicas" if acting.ready else reason
    if reading.away:
        reason = "LoadOutOfReach" if acting.ready else reason
    if blocked:
        remarks.append(blocked.message)
        reason = blocked.reason if acting.ready else reason
    if pipeline.spec.paused:
        remarks.append("spec.paused is true: queued work changes nothing")
        reason = "Paused" if acting.ready else reason
    present = deployment["spec"].get("replicas", 1)
    head = f"{present} of {worker.autoscaling.min_replicas}-{worker.autoscaling.max_replicas} workers: {remarks[0]}"
    return Verdict(acting.ready, reason, _sentence(head, *remarks[1:]))


def _work(worker: Worker, reading: Reading) -> str:
    if reading.away:
        return f"what is queued is out of reach ({reading.away}), so CPU alone decides"
    return amount(reading.load, worker) if reading.load else "what is queued is not known yet"


def _acting(autoscaler: Object, worker: Worker) -> Verdict:
    """Whether the HorizontalPodAutoscaler does its part, and what it sees."""
    status = autoscaler.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    for kind in ("AbleToScale", "ScalingActive"):
        condition = conditions.get(kind)
        if condition is None:
            return Verdict(False, "Progressing", "the HorizontalPodAutoscaler has not looked at the workers yet")
        if condition["status"] != "True":
            reason, message = condition.get("reason", "ScalingInactive"), condition.get("message", "")
            return Verdict(False, reason, f"{message.rstrip('.')}.{_hint(reason, message)}")
    return Verdict(True, "ScalingActive", _cpu(autoscaler, worker))


def _hint(reason: str, message: str) -> str:
    if "Metric" not in reason:
        return ""
    # Of pods that have just started there are no figures yet, with any metrics-server.
    return f"{'' if 'targeted pods' in message else ' Is metrics-server running?'} Until there are figures no worker is removed."


def _cpu(autoscaler: Object, worker: Worker) -> str:
    target = worker.autoscaling.target_cpu_utilization_percentage
    for metric in autoscaler.get("status", {}).get("currentMetrics") or []:
        use = metric.get("containerResource", {}).get("current", {}).get("averageUtilization")
        if use is not None and use > target:
            return f"CPU {max(round(use / _CPU_STEP) * _CPU_STEP, target)} % of {target} %"
    return f"CPU under {target} %"


def _blocked(deployment: Object | None, children: Mapping[ChildKey, Object], told: Told) -> Blockage | None:
    if deployment is None or health.numbers(deployment).ready >= health.numbers(deployment).wanted:
        return None
    return blockage(deployment, of_component(children, "Pod", Component.WORKER), [], told)


def _sentence(*parts: str) -> str:
    return "; ".join(" ".join(part.split()).rstrip(".") for part in parts if part) + "."
