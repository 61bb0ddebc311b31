"""External brokers and stores: a named Secret is believed only after a look at it, and what it replaces is kept until it is in use."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from . import health, names
from .children import ChildKey, of_component
from .names import Component
from .resources.objects import Object
from .spec import Pipeline

Live = Mapping[ChildKey, Object]

URI: Final = "uri"
# What the app's libraries accept: kombu and SQLAlchemy.
SCHEMES: Final = {
    Component.RABBITMQ: ("amqp", "amqps", "pyamqp"),
    Component.POSTGRESQL: ("postgresql", "postgres", "postgresql+psycopg2"),
}
# The components whose pods use broker and store.
_USERS: Final = (Component.API, Component.WORKER)


def secret_names(pipeline: Pipeline) -> dict[Component, str]:
    """The Secrets of the external services that the spec names."""
    spec = pipeline.spec
    named = {Component.RABBITMQ: spec.rabbitmq.external.secret_name, Component.POSTGRESQL: spec.postgresql.external.secret_name}
    return {component: name for component, name in named.items() if name}


def flaw(component: Component, secret: Object) -> str:
    """What is wrong with the URI in a Secret; empty when nothing is. Tells nothing of the URI itself: it holds a password."""
    try:
        uri = base64.b64decode((secret.get("data") or {}).get(URI, "")).decode().strip()
        parts = urlsplit(uri)
        host = parts.hostname or ("host=" in parts.query and component is Component.POSTGRESQL)
        _ = parts.port  # raises ValueError when it is no number
    except ValueError:  # no text, or no URI
        return f"has a {URI} that cannot be read"
    schemes = SCHEMES[component]
    if parts.scheme not in schemes:
        return f"has a {URI} that does not begin with {schemes[0]}://"
    return "" if host else f"has a {URI} that names no host"


def fingerprint(pipeline: Pipeline, secret: Object) -> str:
    """A mark of the URI in a Secret, by which its pods are replaced when it changes. It stands in their annotations.

    Slow to make, and different for each pipeline: whoever may read pods but no Secrets must not learn a weak password by trying.
    """
    return _slow_hash((secret.get("data") or {}).get(URI, ""), pipeline.uid)


@lru_cache(maxsize=2048)
def _slow_hash(value: str, salt: str) -> str:
    # RFC 7914. A few milliseconds and 4 MiB.
    return hashlib.scrypt(value.encode(), salt=salt.encode(), n=4096, r=8, p=1, dklen=12).hex()


def remedy(pipeline: Pipeline, component: Component, secret: str) -> str:
    """The command that creates or corrects the Secret of an external service."""
    scheme = SCHEMES[component][0]
    kubectl = f"kubectl -n {pipeline.namespace}"
    return f"{kubectl} create secret generic {secret} --from-literal={URI}={scheme}://... --dry-run=client -o yaml | {kubectl} apply -f -"


def still_needed(pipeline: Pipeline, wanted: Iterable[Object], live: Live, unwanted: Iterable[Object]) -> list[Object]:
    """What of the unwanted objects belongs to an own service whose external successor has not been proven in use.

    It is in use when every API and worker pod is of the template that names it, and ready. Until then the old pods may need the old one.
    """
    switched = set(secret_names(pipeline))
    if not switched or _is_in_use(pipeline, wanted, live):
        return []
    return [child for child in unwanted if child["metadata"]["labels"].get(names.COMPONENT_LABEL) in switched]


def _is_in_use(pipeline: Pipeline, wanted: Iterable[Object], live: Live) -> bool:
    enough = {Component.API: pipeline.spec.api.replicas, Component.WORKER: pipeline.spec.worker.floor}
    templates = {child["metadata"]["name"]: child["spec"]["template"] for child in wanted if child["kind"] == "Deployment"}
    for component in _USERS:
        name = names.child_name(pipeline.name, component)
        there = live.get(("Deployment", name))
        if there is None or _config(templates[name]) != _config(there["spec"]["template"]) or not _secrets_agree(templates[name], there):
            return False
        status, count = there.get("status", {}), health.numbers(there)
        if status.get("observedGeneration", 0) < there["metadata"].get("generation", 0):
            return False
        # `replicas` counts the pods of older templates too, but not those that are ending: a worker may still be at its last job.
        if count.updated < status.get("replicas", 0) or min(count.ready, count.updated) < min(enough[component], count.wanted):
            return False
        if count.ready < 1 or any("deletionTimestamp" in pod["metadata"] for pod in of_component(live, "Pod", component)):
            return False
    return True


def _config(template: Object) -> str | None:
    value = template["metadata"].get("annotations", {}).get(names.CONFIG)
    return value if isinstance(value, str) else None


def _secrets_agree(template: Object, there: Object) -> bool:
    return _secrets(template) == _secrets(there["spec"]["template"])


def _secrets(template: Object) -> set[str]:
    return {
        source["secret"]["name"]
        for volume in template["spec"].get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
        if "secret" in source
    }
