"""The shared shape of the two StatefulSets: one replica with one volume."""

from .. import names
from ..names import Component
from ..spec import Storage
from .objects import Context, Object, child


def stateful_set(context: Context, component: Component, template: Object, storage: Storage) -> Object:
    """A StatefulSet of one pod with the volume `data`, which outlives it: it goes with the FibPipeline or not at all."""
    volume_class = {"storageClassName": storage.storage_class_name} if storage.storage_class_name else {}
    pipeline = context.pipeline
    return child(
        "apps/v1",
        "StatefulSet",
        context,
        component,
        spec={
            "replicas": 1,
            "serviceName": context.name(component) + "-headless",
            "selector": {"matchLabels": names.selector(pipeline.name, component)},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "template": template,
            "volumeClaimTemplates": [
                {
                    "metadata": {
                        "name": "data",
                        "labels": names.pod_labels(pipeline.name, component),
                        "annotations": dict(names.NEVER_PRUNED),
                    },
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": str(storage.size)}},
                        **volume_class,
                    },
                }
            ],
        },
    )
