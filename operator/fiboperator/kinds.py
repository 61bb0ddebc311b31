"""The kinds of objects that the operator deals with, each with its apiVersion and plural."""

from typing import Final

from . import names

# The kinds of children that the operator applies.
APPLIED_KINDS: Final[dict[str, tuple[str, str]]] = {
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Service": ("v1", "services"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "Deployment": ("apps/v1", "deployments"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "Ingress": ("networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
}
# Of these nothing but the name tells a foreign one from ours, or an overwritten one could not be made again.
POSTED_KINDS: Final = ("Secret", "ConfigMap", "ServiceAccount")
# Kinds that it only looks at.
OBSERVED_KINDS: Final[dict[str, tuple[str, str]]] = {
    "Pod": ("v1", "pods"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
}
WATCHED_KINDS: Final = {**APPLIED_KINDS, **OBSERVED_KINDS}
ALL_KINDS: Final = {
    **WATCHED_KINDS,
    names.KIND: (names.API_VERSION, names.PLURAL),
    "Event": ("events.k8s.io/v1", "events"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
}
