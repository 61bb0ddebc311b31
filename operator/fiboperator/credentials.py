"""The generated credentials of a pipeline: read, or generated where no data depends on them."""

import asyncio

from . import names, volumes
from .cluster import Cluster
from .guards import Live, refuse_new_key_to_old_data, stored_credentials
from .names import Component
from .resources import generate, generated_components, missing_keys
from .spec import Pipeline


async def of_pipeline(cluster: Cluster, pipeline: Pipeline, live: Live, *, is_first: bool) -> dict[Component, dict[str, str]]:
    """The generated credentials by component. Raises Blocked when some are lost that a volume needs.

    `is_first`: no reconcile of this pipeline has ended yet, so that it has no credentials either. What is read is added to `live`.
    """
    found = {component: stored_credentials(pipeline, component, live) for component in generated_components(pipeline)}
    incomplete = [component for component, data in found.items() if missing_keys(component, data)]
    await _find_volumes(cluster, pipeline, incomplete, live)
    for component in incomplete:
        key = ("Secret", names.child_name(pipeline.name, component))
        if not is_first or key in live or ("PersistentVolumeClaim", names.claim_name(pipeline.name, component)) in live:
            # The cache may be stale, or somebody changed the label by which it finds the Secret. So what is damaged is only repaired, and
            # what a volume needs only called lost, after a read. Any other missing Secret is created by POST, which overwrites nothing.
            live.pop(key, None)
            if now := await cluster.read(key[0], pipeline.namespace, key[1]):
                live[key] = now
            found[component] = stored_credentials(pipeline, component, live)
    for component, data in found.items():
        refuse_new_key_to_old_data(pipeline, component, data, live)
    return {component: {**generate(component), **data} for component, data in found.items()}


async def _find_volumes(cluster: Cluster, pipeline: Pipeline, components: list[Component], live: Live) -> None:
    """Add the volumes of components without credentials to `live`, also those that carry no label by which a watch shows them.

    A StatefulSet takes a claim by its name, wherever it comes from: restored from a snapshot, cloned, or stripped of its labels.
    """
    sought = [("PersistentVolumeClaim", names.claim_name(pipeline.name, each)) for each in components if each in volumes.STATEFUL]
    hidden = [key for key in sought if key not in live]
    found = await asyncio.gather(*(cluster.read(kind, pipeline.namespace, name) for kind, name in hidden))
    live.update({key: claim for key, claim in zip(hidden, found, strict=True) if claim is not None})
