"""The Celery workers and the HorizontalPodAutoscaler that sizes them."""

from .. import names
from ..names import Component
from . import application, pods
from .objects import Context, Object, child, disruption_budget, service_account

COMPONENT = Component.WORKER
CONTAINER = "worker"
# What is left of the grace period, after the longest job, to store its result and leave.
SHUTDOWN_MARGIN_SECONDS = 15


def objects(context: Context) -> list[Object]:
    """The workers' children; the autoscaler only while it is enabled."""
    return [
        service_account(context, COMPONENT),
        # No `replicas`: the autoscaler, or the pass itself through /scale, owns that number.
        application.deployment(
            context,
            COMPONENT,
            _template(context),
            strategy=context.strategy(COMPONENT, surge="50%"),
        ),
        disruption_budget(context, COMPONENT),
        *([_autoscaler(context)] if context.pipeline.spec.worker.autoscaling.enabled else []),
    ]


def _template(context: Context) -> Object:
    worker = context.pipeline.spec.worker
    return application.pod_template(
        context,
        COMPONENT,
        config=application.connection_config(context),
        secrets=application.connection_secrets(context),
        spec={
            "terminationGracePeriodSeconds": worker.termination_grace_period_seconds,
            "topologySpreadConstraints": pods.spread_over_nodes(context, COMPONENT),
            "containers": [_container(context)],
        },
    )


def _container(context: Context) -> Object:
    worker = context.pipeline.spec.worker
    health = pods.http_get("/healthz", "health")
    container = application.container(
        context,
        CONTAINER,
        worker.resources,
        ["fibworker"],
        {
            "FIB_WORKER_CONCURRENCY": worker.concurrency,
            "FIB_JOB_TIME_LIMIT_SECONDS": worker.termination_grace_period_seconds - SHUTDOWN_MARGIN_SECONDS,
            **application.bounds(context),
        },
        ports=[{"name": "health", "containerPort": names.WORKER_PORT, "protocol": "TCP"}],
        # Never `celery inspect ping`: it needs the broker, and would restart busy workers when that is away.
        startupProbe=pods.probe({"httpGet": health}, 1, failures=120),
        readinessProbe=pods.probe({"httpGet": pods.http_get("/readyz", "health")}, 2),
        livenessProbe=pods.probe({"httpGet": health}, 20, failures=6),
    )
    return {**container, "env": [application.pod_name(), *container["env"]]}


def _autoscaler(context: Context) -> Object:
    autoscaling = context.pipeline.spec.worker.autoscaling
    return child(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        context,
        COMPONENT,
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": context.name(COMPONENT)},
            "minReplicas": context.floor,
            "maxReplicas": autoscaling.max_replicas,
            "metrics": [
                # Not `Resource`: that sums up all containers of a pod, and fails when a sidecar that an admission webhook added has no CPU
                # request (https://github.com/kubernetes/kubernetes/issues/79365).
                {
                    "type": "ContainerResource",
                    "containerResource": {
                        "name": "cpu",
                        "container": CONTAINER,
                        "target": {"type": "Utilization", "averageUtilization": autoscaling.target_cpu_utilization_percentage},
                    },
                }
            ],
            "behavior": autoscaling.behavior,
        },
    )
