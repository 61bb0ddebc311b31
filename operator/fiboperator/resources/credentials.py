"""The Secrets with a pipeline's generated credentials: made once, never made again over existing data."""

import base64
import contextlib
import secrets

from .. import names
from ..names import Component
from ..spec import Pipeline
from .objects import Context, Object, child

# Which keys are random. The other keys of a Secret follow from these and the spec.
GENERATED: dict[Component, tuple[str, ...]] = {
    Component.RABBITMQ: ("password",),
    Component.POSTGRESQL: ("password", "admin-password"),
    Component.FLOWER: ("password", "cookie-secret"),
}


def generated_components(pipeline: Pipeline) -> list[Component]:
    """The components whose credentials the operator generates: those that it runs itself."""
    spec = pipeline.spec
    return [
        *([] if spec.rabbitmq.external.secret_name else [Component.RABBITMQ]),
        *([] if spec.postgresql.external.secret_name else [Component.POSTGRESQL]),
        *([Component.FLOWER] if spec.flower.enabled else []),
    ]


def generate(component: Component) -> dict[str, str]:
    """Fresh random values for a component. URL-safe, so that they need no quoting anywhere."""
    return {key: secrets.token_urlsafe(32) for key in GENERATED[component]}


def decode(secret: Object) -> dict[str, str]:
    """The data of a Secret as text; what is no text is left out, since nothing that we made is like that."""
    found = {}
    for key, value in (secret.get("data") or {}).items():
        with contextlib.suppress(UnicodeDecodeError):
            found[key] = base64.b64decode(value).decode()
    return found


def missing_keys(component: Component, data: dict[str, str]) -> list[str]:
    """The random keys that are absent or empty: they cannot be made up again."""
    return [key for key in GENERATED[component] if not data.get(key)]


def secret(context: Context, component: Component, derived: dict[str, str]) -> Object:
    """The component's Secret: its random values and `derived`, what follows from them.

    With `deletionPolicy: Retain` it has no owner, so it outlives the pipeline together with the volume that it opens.
    """
    random = {key: context.credentials[component][key] for key in GENERATED[component]}
    body = child(
        "v1",
        "Secret",
        context,
        component,
        type="Opaque",
        data={key: base64.b64encode(value.encode()).decode() for key, value in {**random, **derived}.items()},
    )
    metadata = body["metadata"]
    del metadata["labels"][names.INSTANCE_LABEL]
    metadata["labels"][names.PIPELINE_LABEL] = context.pipeline.name
    if context.pipeline.spec.deletion_policy == "Retain":
        del metadata["ownerReferences"]
        metadata["annotations"] = dict(names.NEVER_PRUNED)
    return body
