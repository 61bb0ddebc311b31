"""Names, labels, selectors and ports of a pipeline's children: the only naming rule."""

from enum import StrEnum
from typing import Any, Final

GROUP: Final = "fibpipeline.io"
VERSION: Final = "v1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "FibPipeline"
PLURAL: Final = "fibpipelines"

MANAGER: Final = "fibpipeline-operator"
PART_OF: Final = "fibpipeline"
APPLIED: Final = f"{GROUP}/applied"
CONFIG: Final = f"{GROUP}/config"
# Read by the ReplicaSet controller: among ready pods the one with the lowest cost leaves first, and none counts as 0.
DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
# Read by the cluster autoscaler: the emptyDirs that may be lost.
SAFE_TO_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"

NAME_LABEL: Final = "app.kubernetes.io/name"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
PART_OF_LABEL: Final = "app.kubernetes.io/part-of"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
VERSION_LABEL: Final = "app.kubernetes.io/version"
# Of what may outlive its pipeline: GitOps tools take an ownerless object with their own label, which INSTANCE_LABEL is, for theirs.
# https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/
PIPELINE_LABEL: Final = f"{GROUP}/pipeline"
# https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/#no-prune-resources
NEVER_PRUNED: Final = {"argocd.argoproj.io/sync-options": "Prune=false", "argocd.argoproj.io/compare-options": "IgnoreExtraneous"}
CHILD_SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGER}"

AMQP_PORT: Final = 5672
MANAGEMENT_PORT: Final = 15672
BROKER_METRICS_PORT: Final = 15692
POSTGRESQL_PORT: Final = 5432
API_PORT: Final = 8000
API_INTERNAL_PORT: Final = 9000
RELAY_PORT: Final = 9001
WORKER_PORT: Final = 9002
FLOWER_PORT: Final = 5555
HTTP_PORT: Final = 80

INTERNAL_SUFFIX: Final = "-internal"
# Each namespace carries its name in this label: https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"


class Component(StrEnum):
    """A part of the pipeline; its value is the suffix of its children's names."""

    RABBITMQ = "rabbitmq"
    POSTGRESQL = "postgresql"
    API = "api"
    WORKER = "worker"
    FLOWER = "flower"


def child_name(pipeline: str, component: Component) -> str:
    """The name of a component's children, e.g. `demo-rabbitmq`."""
    return f"{pipeline}-{component}"


def claim_name(pipeline: str, component: Component) -> str:
    """The name of a component's volume claim, as its StatefulSet gives it, e.g. `data-demo-rabbitmq-0`."""
    return f"data-{child_name(pipeline, component)}-0"


def internal_service(pipeline: str) -> str:
    """The Service of the API's internal port, e.g. `demo-api-internal`. What is routed or published is the other one."""
    return child_name(pipeline, Component.API) + INTERNAL_SUFFIX


def selector(pipeline: str, component: Component) -> dict[str, str]:
    """The labels that select a component's pods. Selectors are immutable: never add a label that can change."""
    return {NAME_LABEL: PART_OF, INSTANCE_LABEL: pipeline, COMPONENT_LABEL: component.value}


def pod_labels(pipeline: str, component: Component) -> dict[str, str]:
    """The labels of a component's pods and volumes: no version, or every upgrade of the operator would roll every pod."""
    return {**selector(pipeline, component), PART_OF_LABEL: PART_OF, MANAGED_BY_LABEL: MANAGER}


def labels(pipeline: str, component: Component, version: str) -> dict[str, str]:
    """The labels of a child object."""
    return {**pod_labels(pipeline, component), VERSION_LABEL: version}


def selector_text(labels: dict[str, str]) -> str:
    """Serialize equality labels as a selector string, as `status.worker.selector` wants it."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def pipeline_of(child: dict[str, Any]) -> str | None:
    """The name of the pipeline that an object belongs to: its owner, or else the one in its labels. None when neither says.

    The owner first, because others change that label too: kustomize's commonLabels, Argo CD's tracking, labelling policies.
    """
    for reference in child.get("metadata", {}).get("ownerReferences") or []:
        if reference.get("controller") and (reference.get("kind"), reference.get("apiVersion")) == (KIND, API_VERSION):
            return str(reference["name"])
    labels = child.get("metadata", {}).get("labels", {})
    value = labels.get(PIPELINE_LABEL, labels.get(INSTANCE_LABEL))
    return value if isinstance(value, str) else None


def is_ours(live: dict[str, Any]) -> bool:
    """Whether an object carries the label of what the operator made."""
    return bool(live.get("metadata", {}).get("labels", {}).get(MANAGED_BY_LABEL) == MANAGER)
