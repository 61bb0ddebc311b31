"""What the pods of the app image share: settings, credentials and a Deployment's shape."""

from typing import Any

from .. import names
from ..names import Component
from . import pods, postgresql, rabbitmq
from .objects import Context, Object, child


def container(
    context: Context, name: str, resources: Any, command: list[str], variables: dict[str, str | int | bool], **fields: Any
) -> Object:
    """A container of the app image; its command picks the role, `variables` are its FIB_ settings besides the credentials."""
    return pods.container(
        name,
        context.app_image,
        resources,
        {pods.SECRETS_PATH: "secrets", "/tmp": "tmp"},  # noqa: S108 - an emptyDir of the pod's own
        imagePullPolicy=context.pipeline.spec.image_pull_policy,
        command=["python", "-m", *command],
        env=pods.env(**variables, **_queue(context)),
        **fields,
    )


def _queue(context: Context) -> dict[str, str]:
    """FIB_QUEUE: on somebody else's broker another pipeline may be a neighbour, also one of the same name in another cluster."""
    pipeline = context.pipeline
    if not pipeline.spec.rabbitmq.external.secret_name:
        return {}
    return {"FIB_QUEUE": f"fib.{pipeline.namespace}.{pipeline.name}.{pipeline.uid[:8]}"}


def pod_name() -> Object:
    """FIB_POD_NAME from the downward API."""
    return {"name": "FIB_POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}


def bounds(context: Context) -> dict[str, str | int | bool]:
    """The bounds of n: one source for API and worker."""
    fibonacci = context.pipeline.spec.fibonacci
    return {"FIB_MAX_RECURSIVE_N": fibonacci.max_recursive_n, "FIB_MAX_N": fibonacci.max_n}


def pod_template(context: Context, component: Component, *, config: Any, secrets: dict[str, tuple[str, str]], spec: Object) -> Object:
    """A pod of the app image; `secrets` maps the files of its credentials to (Secret, key)."""
    volumes = [pods.secret_volume(context, secrets), *pods.scratch(tmp="128Mi")]
    return pods.pod_template(context, component, uid=pods.APP_UID, config=config, spec={"volumes": volumes, **spec})


def connection_secrets(context: Context) -> dict[str, tuple[str, str]]:
    """The URIs of broker and store, by the names of their files."""
    return {"fib_database_url": postgresql.uri_source(context), "fib_broker_url": rabbitmq.uri_source(context)}


def connection_config(context: Context) -> dict[str, dict[str, str] | str]:
    """The credentials behind the connections: pods read them at their start, so a change rolls them."""
    own = {component.value: data for component, data in context.credentials.items() if component is not Component.FLOWER}
    return {**own, **{component.value: mark for component, mark in context.fingerprints.items()}}


def deployment(context: Context, component: Component, template: Object, **spec: Any) -> Object:
    """A Deployment; without `replicas` in `spec` the number is left to whoever scales it."""
    return child(
        "apps/v1",
        "Deployment",
        context,
        component,
        spec={
            "selector": {"matchLabels": names.selector(context.pipeline.name, component)},
            "revisionHistoryLimit": 3,
            **spec,
            "template": template,
        },
    )
