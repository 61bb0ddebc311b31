"""What the status needs to know beyond the children: Secrets that the spec names, and the reasons that only Events tell.

Costs no request for a pipeline that is well and names no Secret.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from . import external
from .autoscale import BrokerError
from .blocking import Told, unexplained
from .children import ChildKey
from .cluster import Cluster
from .errors import ApiError
from .health import Verdict
from .names import Component
from .resources.objects import Object
from .spec import Pipeline

# Neither a Secret of somebody else's nor an Event is watched, so what is missing is looked for again.
LOOK_AGAIN_SECONDS: Final = 20.0
# A Secret that is right is looked at less often: its password may be rotated.
ROTATION_SECONDS: Final = 60.0
# What is in trouble for less is about to start, and not asked about: a new StatefulSet is refused its pod until its ServiceAccount exists.
PATIENCE_SECONDS: Final = 5.0
# The status waits no longer than this for what would only explain it.
EXPLANATION_SECONDS: Final = 3.0

logger = logging.getLogger(__name__)


class Secrets(NamedTuple):
    """The Secrets that the spec names, by name: what is wrong with one, or why nobody knows; and the fingerprints of their URIs."""

    lacking: Mapping[str, str]
    unseen: Mapping[str, str]
    fingerprints: Mapping[str, str]


@dataclass(frozen=True)
class Evidence:
    """What was found. `lacking` says by the Secret's name what is wrong with it, `told` what Events say of an object.

    `unseen` says by the Secret's name why nobody knows what is in it.
    """

    lacking: Mapping[str, str] = field(default_factory=dict)
    told: Told = field(default_factory=dict)
    retry: float | None = None
    """The delay in seconds until another look may find more; None when there is nothing to wait for."""
    unexposed: Verdict | None = None
    """Why nothing reaches the pipeline through its Ingress, where the Ingress itself does not tell."""
    unseen: Mapping[str, str] = field(default_factory=dict)
    broker: BrokerError | None = None
    """Why the broker takes no messages, where the API reports it."""
    blind: bool = False
    """Whether some kind of child cannot be watched: then nobody knows how the components are."""


async def look_at_secrets(cluster: Cluster, pipeline: Pipeline) -> Secrets:
    """Look at the Secrets that the spec names. Costs a request for each of them."""
    wanted, uses = named_secrets(pipeline), external.secret_names(pipeline)
    by_secret = {name: [component for component, used in uses.items() if used == name] for name in wanted}
    answers = await asyncio.gather(*(_read(cluster, pipeline.namespace, name) for name in wanted))
    lacking, unseen, fingerprints = {}, {}, {}
    for (name, keys), (secret, failure) in zip(wanted.items(), answers, strict=True):
        if isinstance(failure, ApiError) and failure.permanent:
            lacking[name] = f"cannot be looked at ({failure})"
        elif failure:
            unseen[name] = str(failure)
        elif lack := _lack(secret, keys, by_secret[name]):
            lacking[name] = lack
        elif secret and by_secret[name]:
            fingerprints[name] = external.fingerprint(pipeline, secret)
    return Secrets(lacking, unseen, fingerprints)


async def gather(
    cluster: Cluster, pipeline: Pipeline, live: Mapping[ChildKey, Object], now: str, secrets: Secrets | None = None
) -> Evidence:
    """Look at what the spec names and what is in trouble without saying why. `now` is an RFC 3339 time.

    `secrets` is what `look_at_secrets` found in this pass, if it has looked.
    """
    in_trouble = unexplained(live)
    silent = [child for child in in_trouble if _age(child, now) >= PATIENCE_SECONDS]
    lacking, unseen, fingerprints = await look_at_secrets(cluster, pipeline) if secrets is None else secrets
    notes = await asyncio.gather(*(_note(cluster, child) for child in silent))
    told = {(child["kind"], child["metadata"]["name"]): note for child, note in zip(silent, notes, strict=True) if note}
    if len(silent) < len(in_trouble):
        return Evidence(lacking, told, PATIENCE_SECONDS, unseen=unseen)
    retry = LOOK_AGAIN_SECONDS if lacking or silent or unseen else ROTATION_SECONDS if fingerprints else None
    return Evidence(lacking, told, retry, unseen=unseen)


def named_secrets(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    """The Secrets that the spec names, with the keys that must be in them."""
    spec = pipeline.spec
    uses = [
        *((name, (external.URI,)) for name in external.secret_names(pipeline).values()),
        (spec.ingress.tls.secret_name if spec.ingress.enabled else "", ("tls.crt", "tls.key")),
    ]
    needed: dict[str, tuple[str, ...]] = {}
    for name, keys in uses:
        if name:
            needed[name] = (*needed.get(name, ()), *keys)
    return needed


def _age(child: Object, now: str) -> float:
    """For how many seconds it exists; of a pod, for how many its node knows it."""
    since = child["metadata"].get("creationTimestamp") or child.get("status", {}).get("startTime") or now
    return (datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds()


async def _note(cluster: Cluster, child: Object) -> str:
    """What Events say of an object. They explain the status and decide nothing in it, so it does not wait until they can be had."""
    try:
        async with asyncio.timeout(EXPLANATION_SECONDS):
            return await cluster.last_warning(child)
    except (ApiError, TimeoutError) as error:
        logger.warning("The events about %s %s cannot be had: %s", child["kind"], child["metadata"]["name"], error)
        return ""


async def _read(cluster: Cluster, namespace: str, name: str) -> tuple[Object | None, Exception | None]:
    """A Secret, None when it does not exist; or why it could not be read."""
    try:
        async with asyncio.timeout(EXPLANATION_SECONDS):
            return await cluster.read("Secret", namespace, name), None
    except ApiError as error:
        return None, error
    except TimeoutError:
        return None, TimeoutError(f"read Secret {name}: the API server did not answer")


def _lack(secret: Object | None, keys: tuple[str, ...], uses: list[Component]) -> str:
    """What is wrong with a Secret; empty when nothing is."""
    if secret is None:
        return "does not exist"
    missing = sorted({key for key in keys if not (secret.get("data") or {}).get(key)})
    if missing:
        return f"lacks {', '.join(missing)}"
    return next((flaw for component in uses if (flaw := external.flaw(component, secret))), "")
