"""The FibPipeline spec as typed, frozen models: the only reader of the raw body.

There is not one default here: they live in the CRD's schema, and the API server has filled them in before the operator reads.
The installed CRD may be of another release than the operator, because a cluster has one CRD and may have many installs. Fields of a
newer CRD are ignored: the API server has validated them. Fields that an older CRD lacks get the default of this release's CRD.
"""

import logging
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from . import schema

logger = logging.getLogger(__name__)


class InvalidSpec(ValueError):
    """The FibPipeline cannot be read; the message names each field and what is wrong with it."""


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class Storage(Model):
    size: str | int
    storage_class_name: str | None = None


class External(Model):
    secret_name: str


class Resources(Model):
    requests: dict[str, str | int]
    limits: dict[str, str | int]

    def to_dict(self) -> dict[str, dict[str, str]]:
        """As Kubernetes writes them: quantities are strings."""
        return {kind: {name: str(value) for name, value in amounts.items()} for kind, amounts in self}


class Placement(Model):
    """Where the pods of a component run, and what others see of them."""

    node_selector: dict[str, str]
    tolerations: list[dict[str, Any]]
    affinity: dict[str, Any]
    priority_class_name: str
    pod_annotations: dict[str, str]
    pod_labels: dict[str, str]
    service_account_annotations: dict[str, str]


class RabbitMQ(Placement):
    image: str
    storage: Storage
    resources: Resources
    external: External


class PostgreSQL(Placement):
    image: str
    database: str
    storage: Storage
    resources: Resources
    external: External


class Api(Placement):
    replicas: int
    resources: Resources


class Autoscaling(Model):
    enabled: bool
    min_replicas: int
    max_replicas: int
    target_cpu_utilization_percentage: int = Field(alias="targetCPUUtilizationPercentage")
    backlog_target_seconds: int
    behavior: dict[str, Any]


class Worker(Placement):
    replicas: int
    concurrency: int
    resources: Resources
    autoscaling: Autoscaling
    termination_grace_period_seconds: int

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most workers that should run: one number when autoscaling is off."""
        scaling = self.autoscaling
        return (scaling.min_replicas, scaling.max_replicas) if scaling.enabled else (self.replicas, self.replicas)

    @property
    def floor(self) -> int:
        """The fewest workers that should run, whatever the load is."""
        return self.bounds[0]


class Flower(Placement):
    enabled: bool
    read_only: bool
    resources: Resources


class Tls(Model):
    secret_name: str


class Ingress(Model):
    enabled: bool
    class_name: str | None = None
    host: str
    annotations: dict[str, str]
    tls: Tls


class Fibonacci(Model):
    max_recursive_n: int
    max_n: int


class Spec(Model):
    image: str
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"]
    image_pull_secrets: list[dict[str, str]]
    paused: bool
    deletion_policy: Literal["Retain", "Delete"]
    fibonacci: Fibonacci
    rabbitmq: RabbitMQ
    postgresql: PostgreSQL
    api: Api
    worker: Worker
    flower: Flower
    ingress: Ingress

    def placement(self, component: str) -> Placement:
        """What the spec says of a component's pods."""
        parts = (self.rabbitmq, self.postgresql, self.api, self.worker, self.flower)
        return dict(zip(("rabbitmq", "postgresql", "api", "worker", "flower"), parts, strict=True))[component]


class Pipeline(BaseModel):
    """One FibPipeline: who it is and what it asks for."""

    model_config = ConfigDict(frozen=True)

    namespace: str
    name: str
    uid: str
    generation: int
    spec: Spec
    scaled_by_hand: bool
    """Whether `kubectl scale` was the last to set spec.worker.replicas."""

    @property
    def ignored_replicas(self) -> int | None:
        """What `kubectl scale` asked for in vain, since the autoscaler decides; None when it asked for nothing, or got it."""
        worker = self.spec.worker
        return worker.replicas if self.scaled_by_hand and worker.autoscaling.enabled else None


def parse(body: dict[str, Any]) -> Pipeline:
    """Read a FibPipeline as the API server sends it, defaults filled in.

    Raises InvalidSpec when a field has no default and is missing, or has a value that this release does not know. Only a CRD of another
    release lets that happen.
    """
    metadata = body["metadata"]
    try:
        return Pipeline(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=metadata["generation"],
            spec=_read(body.get("spec", {})),
            scaled_by_hand=bool(scaling_entries(metadata)),
        )
    except ValidationError as error:
        problems = "; ".join(f"{_path(problem['loc'])}: {problem['msg']}" for problem in error.errors(include_input=False))
        raise InvalidSpec(f"{problems}. Is crds/fibpipeline.yaml of this operator's version installed?") from None


def _read(raw: dict[str, Any]) -> Spec:
    """The spec, whichever release's CRD is installed. Raises ValidationError when it cannot be read all the same."""
    if unknown := tuple(_unknown(raw, Spec, "spec")):
        _log_once(f"{', '.join(unknown)}: not known to this release of the operator, ignored. The installed CRD is a newer one.")
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        missing = [_path(problem["loc"]) for problem in error.errors(include_input=False) if problem["type"] == "missing"]
        if not missing:
            raise
        spec = Spec.model_validate(schema.defaulted(raw))
    _log_once(f"The installed CRD lacks {', '.join(missing)}: the defaults are used. Install crds/fibpipeline.yaml of this release.")
    return spec


def _unknown(raw: Any, model: type[BaseModel], path: str) -> Iterator[str]:
    """The paths of fields that the model does not have."""
    known = _fields(model)
    for name, value in raw.items() if isinstance(raw, dict) else ():
        if name not in known:
            yield f"{path}.{name}"
        elif inner := known[name]:
            yield from _unknown(value, inner, f"{path}.{name}")


@cache
def _fields(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """The fields of a model by the name that the API uses, each with its own model if it has one."""
    return {
        field.alias or name: field.annotation if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel) else None
        for name, field in model.model_fields.items()
    }


@cache
def _log_once(message: str) -> None:
    logger.warning(message)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(["spec", *map(str, location)])


def scaling_entries(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of an object's managed fields that were set through its scale subresource."""
    return [entry for entry in metadata.get("managedFields", []) if entry.get("subresource") == "scale"]
