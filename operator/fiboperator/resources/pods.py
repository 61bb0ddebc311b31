"""The shared skeleton of every pod: hardened to Pod Security `restricted`, with a read-only root file system."""

import hashlib
from typing import Any

import orjson

from .. import names
from ..names import Component
from ..spec import Resources
from .objects import Context, Object

SECRETS_PATH = "/run/secrets/fibpipeline"
APP_UID = 10001
OFFICIAL_IMAGE_UID = 999  # both the rabbitmq and the postgres image own their data as 999:999


def digest(value: Any) -> str:
    """A short, stable fingerprint of any JSON value."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def env(**variables: str | int | bool) -> list[Object]:
    """Environment variables in the order given; booleans as true/false."""
    return [{"name": name, "value": str(value).lower() if isinstance(value, bool) else str(value)} for name, value in variables.items()]


def container(name: str, image: str, resources: Resources | Object, mounts: dict[str, str], **fields: Any) -> Object:
    """A container without privileges; `mounts` maps a path to a volume's name, `volume:key` mounting that one file."""
    return {
        "name": name,
        "image": image,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # The last lines that a crashing container printed become the reason that the pipeline's status gives.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": resources.to_dict() if isinstance(resources, Resources) else resources,
        "volumeMounts": [_mount(path, source) for path, source in mounts.items()],
        **fields,
    }


def _mount(path: str, source: str) -> Object:
    volume, _, key = source.partition(":")
    mount: Object = {"name": volume, "mountPath": path}
    return {**mount, "subPath": key, "readOnly": True} if key else mount


def secret_volume(context: Context, files: dict[str, tuple[str, str]]) -> Object:
    """The volume `secrets`: a projection of single keys; `files` maps a file name to (Secret, key)."""
    return {
        "name": "secrets",
        "projected": {
            "defaultMode": 0o440,
            "sources": [{"secret": {"name": secret, "items": [{"key": key, "path": path}]}} for path, (secret, key) in files.items()],
        },
    }


def scratch(**volumes: str) -> list[Object]:
    """Writable directories that live as long as the pod; `volumes` maps a name to the most that it may hold. More evicts the pod."""
    return [{"name": volume, "emptyDir": {"sizeLimit": size}} for volume, size in volumes.items()]


def probe(action: Object, period: int, failures: int = 3, timeout: int = 5) -> Object:
    """A probe every `period` seconds; `action` is httpGet, tcpSocket or exec."""
    return {**action, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": timeout}


def http_get(path: str, port: str | int) -> Object:
    return {"path": path, "port": port, "scheme": "HTTP"}


def pod_template(context: Context, component: Component, *, uid: int, config: Any, spec: Object) -> Object:
    """A component's pod template.

    `config` is whatever the pods read only at their start (Secret data, config files): a change of it rolls them, nothing else does.
    """
    pipeline, placement = context.pipeline, context.pipeline.spec.placement(component)
    pull_secrets = pipeline.spec.image_pull_secrets
    return {
        "metadata": {
            "labels": {**placement.pod_labels, **names.pod_labels(pipeline.name, component)},
            "annotations": {**_hints(component, spec), **placement.pod_annotations, names.CONFIG: digest(config)},
        },
        "spec": {
            "serviceAccountName": context.name(component),
            "automountServiceAccountToken": False,
            # A Service named `flower` would otherwise inject FLOWER_PORT=tcp://..., which Flower takes for its own option.
            "enableServiceLinks": False,
            # The kernel drops signals for which the first process of a PID namespace has no handler: an entry script, or Python while it
            # starts, would outlive its SIGTERM until the grace period ends. With this the pause container is the first process.
            # https://man7.org/linux/man-pages/man7/pid_namespaces.7.html
            "shareProcessNamespace": True,
            "securityContext": {
                "runAsNonRoot": True,
                **({"runAsUser": uid, "runAsGroup": uid, "fsGroup": uid} if context.release.sets_ids else {}),
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **({"imagePullSecrets": pull_secrets} if pull_secrets else {}),
            "nodeSelector": {"kubernetes.io/os": "linux", **placement.node_selector},
            **({"tolerations": placement.tolerations} if placement.tolerations else {}),
            **({"affinity": placement.affinity} if placement.affinity else {}),
            **({"priorityClassName": placement.priority_class_name} if placement.priority_class_name else {}),
            **spec,
        },
    }


def _hints(component: Component, spec: Object) -> dict[str, str]:
    """Let the cluster autoscaler remove the nodes of pods that keep nothing: by default a pod with an emptyDir holds its node for ever.

    https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-types-of-pods-can-prevent-ca-from-removing-a-node
    """
    if component in (Component.RABBITMQ, Component.POSTGRESQL):
        return {}  # moving broker or store is an outage: not for the sake of a node
    scratch = [volume["name"] for volume in spec["volumes"] if "emptyDir" in volume]
    return {names.SAFE_TO_EVICT: ",".join(scratch)}


def spread_over_nodes(context: Context, component: Component) -> list[Object]:
    """Prefer a node with fewer pods of this component; a small cluster still runs them all.

    No constraint on zones beside it: where nodes have no zone the scheduler would then ignore both.
    """
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": names.selector(context.pipeline.name, component)},
        }
    ]
