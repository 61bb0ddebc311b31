"""Flower, the dashboard, under /flower with a generated login."""

from .. import names
from ..names import Component
from . import application, credentials, pods, rabbitmq
from .objects import Context, Object, service, service_account

COMPONENT = Component.FLOWER
USER = "admin"


def objects(context: Context) -> list[Object]:
    """Flower's children; none when it is switched off."""
    if not context.pipeline.spec.flower.enabled:
        return []
    secret = _secret(context)
    template = application.pod_template(
        context,
        COMPONENT,
        config=[secret["data"], application.connection_config(context).get(Component.RABBITMQ.value)],
        secrets={
            "fib_broker_url": rabbitmq.uri_source(context),
            "fib_flower_basic_auth": (context.name(COMPONENT), "basic-auth"),
            "fib_flower_cookie_secret": (context.name(COMPONENT), "cookie-secret"),
        },
        spec={"terminationGracePeriodSeconds": 10, "containers": [_container(context)]},
    )
    return [
        secret,
        service_account(context, COMPONENT),
        service(context, COMPONENT, {"http": (names.FLOWER_PORT, "http")}),
        # Two Flowers would each keep half of the events: never two at once.
        application.deployment(context, COMPONENT, template, replicas=1, strategy={"type": "Recreate"}),
    ]


def _secret(context: Context) -> Object:
    password = context.credentials[COMPONENT]["password"]
    return credentials.secret(context, COMPONENT, {"username": USER, "basic-auth": f"{USER}:{password}"})


def _container(context: Context) -> Object:
    spec = context.pipeline.spec
    own_broker = not spec.rabbitmq.external.secret_name
    health = pods.http_get("/flower/healthcheck", "http")
    return application.container(
        context,
        "flower",
        spec.flower.resources,
        ["fibapp", "flower"],
        {
            "FIB_FLOWER_READ_ONLY": spec.flower.read_only,
            **({"FIB_BROKER_API_URL": f"http://{context.name(Component.RABBITMQ)}:{names.MANAGEMENT_PORT}/api/"} if own_broker else {}),
        },
        ports=[{"name": "http", "containerPort": names.FLOWER_PORT, "protocol": "TCP"}],
        startupProbe=pods.probe({"httpGet": health}, 1, failures=120),
        readinessProbe=pods.probe({"httpGet": health}, 10),
        livenessProbe=pods.probe({"httpGet": health}, 30),
    )
