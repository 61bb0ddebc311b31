"""An operator in kopf's usual style: a handler for each component, and a timer that looks every five seconds. Run by `kopf run`.

What it makes for a PeerPipeline: five ConfigMaps and three Services, as many children as small operators have.
"""

from typing import Any

import kopf
from kubernetes import client, config

COMPONENTS = ("rabbitmq", "postgresql", "api", "worker", "flower")
SERVED = ("rabbitmq", "postgresql", "api")
SECONDS = 5.0
RESOURCE = ("bench.io", "v1", "peerpipelines")


@kopf.on.startup()
def connect(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Log in by the kubeconfig."""
    config.load_kube_config()
    settings.posting.enabled = False


def _make(component: str) -> Any:
    def make(name: str, namespace: str | None, body: kopf.Body, **_: Any) -> None:
        _ensure(component, name, namespace, body)

    return make


for _component in COMPONENTS:
    kopf.on.create(*RESOURCE, id=_component)(_make(_component))


@kopf.timer(*RESOURCE, interval=SECONDS)
def look(name: str, namespace: str | None, body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
    """Read every child, make what is missing, write the status."""
    for component in COMPONENTS:
        _ensure(component, name, namespace, body)
    patch.status["looked"] = body["metadata"]["resourceVersion"]


def _ensure(component: str, name: str, namespace: str | None, body: kopf.Body) -> None:
    core = client.CoreV1Api()
    metadata = {"name": f"{name}-{component}", "namespace": namespace}
    children: list[tuple[Any, Any, dict[str, Any]]] = [
        (core.read_namespaced_config_map, core.create_namespaced_config_map, {"metadata": metadata, "data": {"component": component}})
    ]
    if component in SERVED:
        spec = {"selector": {"component": component}, "ports": [{"port": 80}]}
        children.append((core.read_namespaced_service, core.create_namespaced_service, {"metadata": metadata, "spec": spec}))
    for read, create, child in children:
        try:
            read(metadata["name"], namespace)
        except client.ApiException as error:
            if error.status != 404:
                raise
            kopf.adopt(child, owner=body)
            create(namespace, child)
