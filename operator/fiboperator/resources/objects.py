"""What every child has in common: identity, labels, owner."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import names
from ..names import Component
from ..spec import Pipeline

Object = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """What this installation of the operator is: its version, the app image it was released with, and the namespace of its pod."""

    version: str
    app_image: str
    namespace: str = ""
    """Empty outside of a cluster."""
    sets_ids: bool = True
    """Whether pods ask for the user ids of their images. Otherwise the cluster gives them ids of their namespace's range (OpenShift)."""


@dataclass(frozen=True)
class Context:
    """Everything that decides the children: the pipeline, its credentials by component, the release, and the workers it needs now.

    `credentials` maps a component to the decoded data of its Secret; components with an external service have none.
    """

    pipeline: Pipeline
    credentials: dict[Component, dict[str, str]]
    release: Release
    floor: int
    host_taken: bool = False
    """Whether the Ingress of another pipeline serves the host that this one asks for."""
    fingerprints: Mapping[Component, str] = field(default_factory=dict)
    """Marks of the URIs of external services: a change of one replaces the pods that read it."""
    cramped: frozenset[Component] = frozenset()
    """The components whose rollout has no room for a pod more than the spec asks for."""

    @property
    def app_image(self) -> str:
        return self.pipeline.spec.image or self.release.app_image

    def name(self, component: Component) -> str:
        return names.child_name(self.pipeline.name, component)

    def strategy(self, component: Component, surge: int | str) -> Object:
        """How a Deployment rolls: new pods first, or an old one away first where there is no room for more."""
        unavailable = 1 if component in self.cramped else 0
        return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}


def owner_reference(pipeline: Pipeline) -> Object:
    """The reference that makes the garbage collector remove a child after its pipeline."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": pipeline.name,
        "uid": pipeline.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child(api_version: str, kind: str, context: Context, component: Component, *, name: str | None = None, **body: Any) -> Object:
    """A child of the pipeline; `body` are its other top-level fields, usually `spec`."""
    pipeline = context.pipeline
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name or context.name(component),
            "namespace": pipeline.namespace,
            "labels": names.labels(pipeline.name, component, context.release.version),
            "ownerReferences": [owner_reference(pipeline)],
        },
        **body,
    }


def service(
    context: Context, component: Component, ports: dict[str, tuple[int, str | int]], *, headless: bool = False, suffix: str = ""
) -> Object:
    """A ClusterIP Service; `ports` maps a port's name to (port, target port)."""
    return child(
        "v1",
        "Service",
        context,
        component,
        name=context.name(component) + ("-headless" if headless else suffix),
        spec={
            "type": "ClusterIP",
            # Both families where the cluster has both, one where it has one.
            "ipFamilyPolicy": "PreferDualStack",
            **({"clusterIP": "None", "publishNotReadyAddresses": True} if headless else {}),
            "selector": names.selector(context.pipeline.name, component),
            "ports": [{"name": name, "port": port, "targetPort": target, "protocol": "TCP"} for name, (port, target) in ports.items()],
        },
    )


def service_account(context: Context, component: Component) -> Object:
    """The component's own identity, with no token: none of the pipeline's pods talks to the API server."""
    account = child("v1", "ServiceAccount", context, component, automountServiceAccountToken=False)
    if annotations := context.pipeline.spec.placement(component).service_account_annotations:
        account["metadata"]["annotations"] = dict(annotations)
    return account


def disruption_budget(context: Context, component: Component) -> Object:
    """At most one pod at a time leaves by an eviction. It never blocks a drain for ever, not even with one replica."""
    return child(
        "policy/v1",
        "PodDisruptionBudget",
        context,
        component,
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.selector(context.pipeline.name, component)},
        },
    )
