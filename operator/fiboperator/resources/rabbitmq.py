"""RabbitMQ, the broker: a StatefulSet of one with its volume, unless the spec names an external one."""

from urllib.parse import quote

from kubernetes.utils.quantity import parse_quantity

from .. import names
from ..names import Component
from . import credentials, pods
from .objects import Context, Object, service, service_account
from .stateful import stateful_set

COMPONENT = Component.RABBITMQ
USER = "fib"
VHOST = "fib"
# RabbitMQ's own default, stated: a job's time limit is bounded in the CRD to stay a minute below it.
CONSUMER_TIMEOUT_SECONDS = 1800
# Started once the listener is open, which is at the end of the boot. Then the feature flags that a newer image brought are enabled (a fresh
# node enables its own): without them a later version refuses to start on this volume. In the background, because the command is slow, and
# neither its time nor its failure is a reason to wait.
# https://www.rabbitmq.com/docs/feature-flags#how-to-enable-feature-flags
STARTED_SCRIPT = """set -eu
exec 3<>"/dev/tcp/127.0.0.1/$AMQP_PORT"
exec 3>&-
{
    for attempt in 1 2 3 4 5; do
        rabbitmqctl enable_feature_flag all && break
        sleep 10
    done
} </dev/null >/var/log/rabbitmq/feature-flags.log 2>&1 &
"""


def objects(context: Context) -> list[Object]:
    """The broker's children; none when it is external."""
    if context.pipeline.spec.rabbitmq.external.secret_name:
        return []
    return [
        _secret(context),
        service_account(context, COMPONENT),
        service(context, COMPONENT, {"amqp": (names.AMQP_PORT, names.AMQP_PORT)}, headless=True),
        service(
            context,
            COMPONENT,
            {
                "amqp": (names.AMQP_PORT, names.AMQP_PORT),
                "management": (names.MANAGEMENT_PORT, names.MANAGEMENT_PORT),
                "metrics": (names.BROKER_METRICS_PORT, names.BROKER_METRICS_PORT),
            },
        ),
        stateful_set(context, COMPONENT, _template(context), context.pipeline.spec.rabbitmq.storage),
    ]


def uri_source(context: Context) -> tuple[str, str]:
    """The (Secret, key) that holds the broker's URI."""
    return context.pipeline.spec.rabbitmq.external.secret_name or context.name(COMPONENT), "uri"


def _secret(context: Context) -> Object:
    password = context.credentials[COMPONENT]["password"]
    uri = f"amqp://{USER}:{quote(password, safe='')}@{context.name(COMPONENT)}:{names.AMQP_PORT}/{VHOST}"
    config = _config(context, password)
    return credentials.secret(context, COMPONENT, {"username": USER, "uri": uri, config_key(config): config})


def config_key(config: str) -> str:
    """The key of a configuration in the Secret, which names its content.

    A node's view of the Secret may be older than the pod, and a file that is mounted by itself is never updated: under a fixed key the pod
    would keep the old file. This way it waits for the right one. https://github.com/kubernetes/kubernetes/issues/129645
    """
    return f"rabbitmq-{pods.digest(config)}.conf"


def _config(context: Context, password: str) -> str:
    memory = int(parse_quantity(context.pipeline.spec.rabbitmq.resources.limits["memory"]))
    # The default user, made on a blank node only, may watch the broker and use its own vhost; it is no administrator.
    return "\n".join(
        [
            f"default_vhost = {VHOST}",
            f"default_user = {USER}",
            f"default_pass = {password}",
            "default_user_tags.administrator = false",
            "default_user_tags.monitoring = true",
            "default_permissions.configure = .*",
            "default_permissions.read = .*",
            "default_permissions.write = .*",
            f"total_memory_available_override_value = {memory}",
            "disk_free_limit.absolute = 200MB",
            f"consumer_timeout = {CONSUMER_TIMEOUT_SECONDS * 1000}",
            "",
        ]
    )


def _template(context: Context) -> Object:
    spec = context.pipeline.spec
    key = config_key(_config(context, context.credentials[COMPONENT]["password"]))
    amqp = {"tcpSocket": {"port": "amqp"}}
    return pods.pod_template(
        context,
        COMPONENT,
        uid=pods.OFFICIAL_IMAGE_UID,
        config=key,
        spec={
            "terminationGracePeriodSeconds": 60,
            "containers": [
                pods.container(
                    "rabbitmq",
                    spec.rabbitmq.image,
                    spec.rabbitmq.resources,
                    {
                        "/var/lib/rabbitmq": "data",
                        "/var/log/rabbitmq": "log",
                        "/tmp": "tmp",  # noqa: S108 - an emptyDir of the pod's own
                        "/etc/rabbitmq/conf.d/20-fibpipeline.conf": "config:rabbitmq.conf",
                    },
                    imagePullPolicy=spec.image_pull_policy,
                    ports=[
                        {"name": "amqp", "containerPort": names.AMQP_PORT, "protocol": "TCP"},
                        {"name": "management", "containerPort": names.MANAGEMENT_PORT, "protocol": "TCP"},
                        {"name": "metrics", "containerPort": names.BROKER_METRICS_PORT, "protocol": "TCP"},
                    ],
                    env=pods.env(AMQP_PORT=names.AMQP_PORT),
                    startupProbe=pods.probe({"exec": {"command": ["bash", "-c", STARTED_SCRIPT]}}, 1, failures=600),
                    # A broker in alarm still listens: restarting it would not help.
                    readinessProbe=pods.probe(amqp, 10),
                    livenessProbe=pods.probe(amqp, 30, failures=6),
                )
            ],
            "volumes": [
                {
                    "name": "config",
                    "secret": {
                        "secretName": context.name(COMPONENT),
                        "defaultMode": 0o440,
                        "items": [{"key": key, "path": "rabbitmq.conf"}],
                    },
                },
                *pods.scratch(log="1Gi", tmp="128Mi"),  # Erlang's crash dumps go to the log directory
            ],
        },
    )
