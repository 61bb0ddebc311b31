"""The API pods: the Flask API and page, the outbox relay beside it, the schema migration before both."""

from .. import names
from ..names import Component
from . import application, pods
from .objects import Context, Object, disruption_budget, service, service_account

COMPONENT = Component.API
# The relay is one small loop; its share is on top of what the spec gives the API.
RELAY_RESOURCES: Object = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}
# Endpoints and Ingress controllers learn of a leaving pod a moment later than the pod itself: until then it must answer.
# https://kubernetes.io/docs/tutorials/services/pods-and-endpoint-termination-flow/
LEAVE_SECONDS = 5


def objects(context: Context) -> list[Object]:
    """The API's children."""
    template = application.pod_template(
        context,
        COMPONENT,
        config=application.connection_config(context),
        secrets=application.connection_secrets(context),
        spec={
            "terminationGracePeriodSeconds": 30,
            "topologySpreadConstraints": pods.spread_over_nodes(context, COMPONENT),
            "initContainers": [_migrate(context)],
            "containers": [_api(context), _relay(context)],
        },
    )
    return [
        service_account(context, COMPONENT),
        service(context, COMPONENT, {"http": (names.HTTP_PORT, "http")}),
        service(context, COMPONENT, {"internal": (names.API_INTERNAL_PORT, "internal")}, suffix=names.INTERNAL_SUFFIX),
        application.deployment(
            context,
            COMPONENT,
            template,
            replicas=context.pipeline.spec.api.replicas,
            strategy=context.strategy(COMPONENT, surge=1),
        ),
        disruption_budget(context, COMPONENT),
    ]


def _migrate(context: Context) -> Object:
    return application.container(context, "migrate", RELAY_RESOURCES, ["fibapp", "migrate"], {})


def _api(context: Context) -> Object:
    return application.container(
        context,
        "api",
        context.pipeline.spec.api.resources,
        ["fibapp", "api"],
        {"FIB_PIPELINE_NAME": context.pipeline.name, **application.bounds(context)},
        ports=[
            {"name": "http", "containerPort": names.API_PORT, "protocol": "TCP"},
            {"name": "internal", "containerPort": names.API_INTERNAL_PORT, "protocol": "TCP"},
        ],
        startupProbe=pods.probe({"httpGet": pods.http_get("/api/healthz", "http")}, 1, failures=120),
        readinessProbe=pods.probe({"httpGet": pods.http_get("/api/readyz", "http")}, 5, failures=2),
        livenessProbe=pods.probe({"httpGet": pods.http_get("/api/healthz", "http")}, 20),
        lifecycle={"preStop": {"sleep": {"seconds": LEAVE_SECONDS}}},
    )


def _relay(context: Context) -> Object:
    return application.container(
        context,
        "relay",
        RELAY_RESOURCES,
        ["fibapp", "relay"],
        {},
        ports=[{"name": "relay", "containerPort": names.RELAY_PORT, "protocol": "TCP"}],
        startupProbe=pods.probe({"httpGet": pods.http_get("/healthz", "relay")}, 1, failures=120),
        livenessProbe=pods.probe({"httpGet": pods.http_get("/healthz", "relay")}, 20),
    )
