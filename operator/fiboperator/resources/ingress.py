"""The Ingress: plain paths for any controller, no rewrites; API and Flower serve under their prefixes natively."""

from .. import names
from ..names import Component
from .objects import Context, Object, child


def objects(context: Context) -> list[Object]:
    """The Ingress, unless it is switched off or another pipeline's Ingress serves its host."""
    pipeline = context.pipeline
    ingress = pipeline.spec.ingress
    if not ingress.enabled or context.host_taken:
        return []
    paths = [
        _path(context, "/", "Exact", Component.API, names.HTTP_PORT),
        _path(context, "/api", "Prefix", Component.API, names.HTTP_PORT),
        *([_path(context, "/flower", "Prefix", Component.FLOWER, names.FLOWER_PORT)] if pipeline.spec.flower.enabled else []),
    ]
    host = {"host": ingress.host} if ingress.host else {}
    tls = {"tls": [{"secretName": ingress.tls.secret_name, **({"hosts": [ingress.host]} if ingress.host else {})}]}
    body = child(
        "networking.k8s.io/v1",
        "Ingress",
        context,
        Component.API,
        name=pipeline.name,
        spec={
            **({"ingressClassName": ingress.class_name} if ingress.class_name else {}),
            **(tls if ingress.tls.secret_name else {}),
            "rules": [{**host, "http": {"paths": paths}}],
        },
    )
    if ingress.annotations:
        body["metadata"]["annotations"] = dict(ingress.annotations)
    return [body]


def _path(context: Context, path: str, path_type: str, component: Component, port: int) -> Object:
    backend = {"service": {"name": context.name(component), "port": {"number": port}}}
    return {"path": path, "pathType": path_type, "backend": backend}
