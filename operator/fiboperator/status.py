"""The status of a FibPipeline: a pure function of its spec, the live children, the error of the pass and the previous status."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import broker, external, health, names
from .children import ChildKey, of_component
from .evidence import Evidence
from .health import Verdict
from .names import Component
from .resources.objects import Object
from .spec import Pipeline

Children = Mapping[ChildKey, Object]

_WORKLOADS = {
    Component.RABBITMQ: ("StatefulSet", "BrokerReady"),
    Component.POSTGRESQL: ("StatefulSet", "DatabaseReady"),
    Component.API: ("Deployment", "APIReady"),
    Component.WORKER: ("Deployment", "WorkersReady"),
    Component.FLOWER: ("Deployment", "FlowerReady"),
}
_WAITING = {Component.RABBITMQ: "WaitingForBroker", Component.POSTGRESQL: "WaitingForDatabase"}
# Reasons that only a person's action ends: kstatus calls such an object stalled.
_STALLED = ("InvalidSpec", "Conflict", "SecretNotFound", "Forbidden", "Refused", "ExpansionRefused", "VolumeTerminating", "Contested")


@dataclass(frozen=True)
class Problem:
    """Why the pass could not do its work, for the Ready condition."""

    reason: str
    message: str


def of_pipeline(
    pipeline: Pipeline,
    children: Children,
    evidence: Evidence,
    problem: Problem | None,
    workers: Verdict,
    previous: Object,
    now: str,
    version: str,
) -> Object:
    """The whole status to write. `workers` tells why there are so many of them.

    `now` is an RFC 3339 time, used for conditions that flip; `version` is the operator's.
    """
    verdicts = {component: _component(pipeline, component, children, evidence) for component in _WORKLOADS}
    wanted = {component: verdict for component, verdict in verdicts.items() if verdict is not None}
    wanted = {component: _proven(pipeline, component, verdict, wanted) for component, verdict in wanted.items()}
    wanted[Component.RABBITMQ] = broker.taking(pipeline, wanted[Component.RABBITMQ], evidence.broker)
    if problem and evidence.blind:
        unseen = Verdict(False, problem.reason, f"Not known, because a kind of child cannot be watched: {problem.message}", known=False)
        wanted = dict.fromkeys(wanted, unseen)
        workers = unseen
    conditions = {_WORKLOADS[component][1]: verdict for component, verdict in wanted.items()}
    spec = pipeline.spec
    if spec.ingress.enabled:
        conditions["Exposed"] = _exposed(pipeline, children, evidence)
    conditions["AutoscalingActive"] = workers
    numbers = {component.value: _numbers(pipeline, component, children) for component in wanted}
    numbers[Component.WORKER.value]["reason"] = workers.message
    ready = _ready(pipeline, wanted, problem)
    if evidence.blind:
        ready = replace(ready, known=False)
    url = "" if evidence.unexposed else _url(pipeline, children)
    return {
        "observedGeneration": pipeline.generation,
        "version": version,
        **({"url": f"{url}/api", **({"flowerURL": f"{url}/flower"} if spec.flower.enabled else {})} if url else {}),
        **numbers,
        "conditions": _conditions({"Ready": ready, **conditions, **_progress(ready)}, pipeline.generation, previous, now),
    }


def of_unreadable(generation: int, problem: Problem, previous: Object, now: str) -> Object:
    """The status of a pipeline whose spec cannot be read: what was known stays, Ready says why."""
    ready = Verdict(False, problem.reason, problem.message)
    kept = [condition for condition in previous.get("conditions", []) if condition["type"] not in ("Ready", "Reconciling", "Stalled")]
    written = _conditions({"Ready": ready, **_progress(ready)}, generation, previous, now)
    return {**previous, "observedGeneration": generation, "conditions": [*kept, *written]}


def transitions(previous: Object, current: Object) -> list[tuple[str, str, str]]:
    """The Events that tell what changed: (Normal | Warning, reason, message), one for each flip or new reason of Ready.

    That a new pipeline is under way is no news. A `kubectl scale` that has no effect is.
    """
    ignored = _scale_ignored(previous, current)
    before, after = _condition(previous, "Ready"), _condition(current, "Ready")
    calm = after["status"] == "True" or after["reason"] in ("Progressing", *_WAITING.values())
    if (before is None and calm) or (before is not None and (before["status"], before["reason"]) == (after["status"], after["reason"])):
        return ignored
    return [*ignored, ("Normal" if calm else "Warning", after["reason"], after["message"])]


def _scale_ignored(previous: Object, current: Object) -> list[tuple[str, str, str]]:
    before, after = (status.get("worker", {}).get("ignoredReplicas") for status in (previous, current))
    if after is None or after == before:
        return []
    remedy = "Set spec.worker.autoscaling.enabled to false, or change its minReplicas and maxReplicas."
    return [
        ("Warning", "ScaleIgnored", f"kubectl scale asked for {after} workers, but the autoscaler decides how many there are. {remedy}")
    ]


def verdict(status: Object, kind: str) -> Verdict | None:
    """What a status says of one subject; None when it says nothing."""
    condition = _condition(status, kind)
    return Verdict(condition["status"] == "True", condition["reason"], condition["message"]) if condition else None


def _condition(status: Object, kind: str) -> Any:
    return next((condition for condition in status.get("conditions", []) if condition["type"] == kind), None)


def _component(pipeline: Pipeline, component: Component, children: Children, evidence: Evidence) -> Verdict | None:
    spec, (kind, _) = pipeline.spec, _WORKLOADS[component]
    if component is Component.FLOWER and not spec.flower.enabled:
        return None
    if secret := _external_secret(pipeline, component):
        return _external(pipeline, component, secret, evidence)
    name = names.child_name(pipeline.name, component)
    enough = {Component.API: spec.api.replicas, Component.WORKER: spec.worker.floor}.get(component, 1)
    return health.workload(
        kind,
        name,
        children.get((kind, name)),
        of_component(children, "Pod", component),
        of_component(children, "PersistentVolumeClaim", component),
        enough,
        evidence.told,
    )


def _external(pipeline: Pipeline, component: Component, secret: str, evidence: Evidence) -> Verdict:
    if why := evidence.unseen.get(secret):
        return Verdict(False, "SecretUnseen", f"Whether Secret {secret} names it is not known: {why}.", known=False)
    lack = evidence.lacking.get(secret)
    if lack is None:
        return Verdict(True, "External", f"Not run here: Secret {secret} names it.")
    lacking = external_lack(pipeline, component, secret, lack)
    return Verdict(False, lacking.reason, lacking.message)


def external_lack(pipeline: Pipeline, component: Component, secret: str, lack: str) -> Problem:
    """The problem of a named Secret that is missing or wrong."""
    where = f"Secret {secret} in namespace {pipeline.namespace}, named by spec.{component}.external.secretName, {lack}"
    meanwhile = f"Nothing is changed until its key {external.URI} names the service"
    return Problem("SecretNotFound", f"{where}. {meanwhile}: {external.remedy(pipeline, component, secret)}")


def _proven(pipeline: Pipeline, component: Component, verdict: Verdict, all_of_them: Mapping[Component, Verdict]) -> Verdict:
    """An external service is ready when those that log in to it are: API pods need the store, workers' pods need broker and store."""
    user = {Component.POSTGRESQL: Component.API, Component.RABBITMQ: Component.WORKER}.get(component)
    if verdict.reason != "External" or user is None or all_of_them[user].ready:
        return verdict
    secret = _external_secret(pipeline, component)
    doubt = f"Not run here: Secret {secret} names it. Nobody knows whether it admits the pipeline: {all_of_them[user].message}"
    look = f"kubectl -n {pipeline.namespace} logs deployment/{names.child_name(pipeline.name, user)} --all-containers --tail=20"
    return Verdict(False, "External", f"{doubt} What it answered: {look}", known=False)


def _exposed(pipeline: Pipeline, children: Children, evidence: Evidence) -> Verdict:
    if unexposed := evidence.unexposed:
        return Verdict(False, unexposed.reason, f"{unexposed.message.rstrip('.')}. Until then: {_port_forward(pipeline)}")
    secret = pipeline.spec.ingress.tls.secret_name
    if lack := evidence.lacking.get(secret):
        create = f"kubectl -n {pipeline.namespace} create secret tls {secret} --cert=FILE --key=FILE"
        message = f"Secret {secret}, named by spec.ingress.tls.secretName, {lack}. Create it ({create}), or let cert-manager do so."
        return Verdict(False, "TLSSecretNotFound", message)
    return health.exposure(children.get(("Ingress", pipeline.name)), _port_forward(pipeline))


def _ready(pipeline: Pipeline, verdicts: Mapping[Component, Verdict], problem: Problem | None) -> Verdict:
    if problem:
        return Verdict(False, problem.reason, problem.message)
    # What is not known of an external service follows from those that use it: they are the cause that can be named.
    if unready := [(component, verdict) for component, verdict in verdicts.items() if not verdict.ready and verdict.reason != "External"]:
        # What cannot go on by itself before what only takes its time.
        component, verdict = min(unready, key=lambda each: each[1].reason == "Progressing")
        reason = _WAITING.get(component, "Progressing") if verdict.reason == "Progressing" else verdict.reason
        return Verdict(False, reason, verdict.message)
    if pipeline.spec.paused:
        return Verdict(True, "Paused", "All components are ready. spec.paused is true: the operator leaves every child as it is.")
    return Verdict(True, "Available", "All components are ready.")


def _progress(ready: Verdict) -> dict[str, Verdict]:
    if ready.ready:
        return {}
    kind = "Stalled" if ready.reason in _STALLED else "Reconciling"
    return {kind: Verdict(True, ready.reason, ready.message)}


def _conditions(verdicts: Mapping[str, Verdict], generation: int, previous: Object, now: str) -> list[Object]:
    def since(kind: str, status: str) -> str:
        before = _condition(previous, kind)
        return str(before["lastTransitionTime"]) if before is not None and before["status"] == status else now

    return [
        {
            "type": kind,
            "status": (status := "Unknown" if not verdict.known else "True" if verdict.ready else "False"),
            "reason": verdict.reason,
            "message": verdict.message,
            "observedGeneration": generation,
            "lastTransitionTime": since(kind, status),
        }
        for kind, verdict in verdicts.items()
    ]


def _numbers(pipeline: Pipeline, component: Component, children: Children) -> Object:
    if secret := _external_secret(pipeline, component):
        return {"secretName": secret}
    name = names.child_name(pipeline.name, component)
    live = children.get((_WORKLOADS[component][0], name))
    count = health.numbers(live)
    numbers = {"ready": count.ratio, "replicas": count.wanted, "readyReplicas": count.ready}
    if component is Component.WORKER:  # the scale subresource reads these
        existing = (live or {}).get("status", {}).get("replicas", 0)
        selector = names.selector_text(names.selector(pipeline.name, component))
        ignored = {} if pipeline.ignored_replicas is None else {"ignoredReplicas": pipeline.ignored_replicas}
        return {**numbers, "replicas": existing, "desiredReplicas": count.wanted, **ignored, "selector": selector}
    return numbers if component is Component.API else {**numbers, "secretName": name}


def _external_secret(pipeline: Pipeline, component: Component) -> str:
    spec = pipeline.spec
    external = {Component.RABBITMQ: spec.rabbitmq.external, Component.POSTGRESQL: spec.postgresql.external}
    return external[component].secret_name if component in external else ""


def _url(pipeline: Pipeline, children: Children) -> str:
    ingress = pipeline.spec.ingress
    host = ingress.host or health.ingress_address(children.get(("Ingress", pipeline.name)))
    scheme = "https" if ingress.tls.secret_name else "http"
    return f"{scheme}://{host}" if ingress.enabled and host else ""


def _port_forward(pipeline: Pipeline) -> str:
    target = f"kubectl -n {pipeline.namespace} port-forward svc/{{}} {{}}"
    lines = [target.format(names.child_name(pipeline.name, Component.API), "8080:80") + " and open http://localhost:8080/api"]
    if pipeline.spec.flower.enabled:
        lines.append(target.format(names.child_name(pipeline.name, Component.FLOWER), "5555") + " and open http://localhost:5555/flower")
    return "; ".join(lines)
