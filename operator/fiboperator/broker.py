"""Whether the broker takes messages, which a running pod does not prove: a pure rule on what the relay observed."""

from . import names
from .autoscale import BrokerError
from .health import Verdict
from .names import Component
from .spec import Pipeline

_COMPONENT = Component.RABBITMQ


def taking(pipeline: Pipeline, verdict: Verdict, error: BrokerError | None) -> Verdict:
    """The verdict on the broker, corrected by what the relay observed.

    An own broker that does not answer is left to the readiness of its pod, which is faster. An external one has no pod here.
    """
    if error is None or not (verdict.ready or verdict.reason == "External"):
        return verdict
    secret = pipeline.spec.rabbitmq.external.secret_name
    who = f"The broker that Secret {secret} names" if secret else "RabbitMQ"
    kept = "Jobs are accepted meanwhile and kept in the database."
    if error.cause == "alarm":
        return Verdict(False, "BrokerAlarm", f"{who} takes no messages: {error.words}. {kept} {_relief(pipeline)}")
    if error.cause == "refused":
        return Verdict(False, "BrokerRefuses", f"{who} refuses the pipeline: {error.words.rstrip('.')}. {kept} {_admission(pipeline)}")
    if secret:
        return Verdict(False, "BrokerUnreachable", f"{who} does not answer: {error.words}. {kept}")
    return verdict


def _relief(pipeline: Pipeline) -> str:
    if pipeline.spec.rabbitmq.external.secret_name:
        return "Give that broker more disk or memory; rabbitmq-diagnostics alarms says which."
    pod = f"{names.child_name(pipeline.name, _COMPONENT)}-0"
    look = f"kubectl -n {pipeline.namespace} exec {pod} -c rabbitmq -- rabbitmq-diagnostics alarms"
    return f"Raise spec.rabbitmq.storage.size when it lacks disk, spec.rabbitmq.resources.limits.memory when it lacks memory ({look})."


def _admission(pipeline: Pipeline) -> str:
    secret = pipeline.spec.rabbitmq.external.secret_name
    logs = f"kubectl -n {pipeline.namespace} logs deployment/{names.child_name(pipeline.name, Component.API)} -c relay"
    return f"Correct user, password and virtual host in Secret {secret}; see {logs}." if secret else f"See {logs}."
