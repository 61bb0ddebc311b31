"""Which Ingress serves which host. Two pipelines on one host would answer each other's requests, so the older Ingress keeps it."""

from collections.abc import Callable
from typing import Any, NamedTuple

PipelineKey = tuple[str, str]  # namespace, name of the FibPipeline


class Claim(NamedTuple):
    """A live Ingress that serves a host. Claims sort by age; equally old ones by namespace and name."""

    created: str
    pipeline: PipelineKey
    class_name: str


class Hosts:
    """The hosts of the live Ingresses of all pipelines. `changed` is called with a pipeline that may have gained or lost its host."""

    def __init__(self, changed: Callable[[PipelineKey], None] = lambda _: None) -> None:
        self._changed = changed
        self._claims: dict[str, dict[PipelineKey, Claim]] = {}
        self._host_of: dict[PipelineKey, str] = {}
        self._waiting: dict[PipelineKey, str] = {}

    def put(self, pipeline: PipelineKey, ingress: dict[str, Any]) -> None:
        """Take in a live Ingress of a pipeline."""
        spec, metadata = ingress["spec"], ingress["metadata"]
        host = next((rule.get("host", "") for rule in spec.get("rules") or []), "")
        claim = Claim(metadata.get("creationTimestamp", ""), pipeline, spec.get("ingressClassName") or "")
        if self._claims.get(host, {}).get(pipeline) == claim:
            return
        self.drop(pipeline)
        # Two Ingresses may be created at the same time. The younger one must be removed again.
        for other in self._claims.get(host, {}):
            self._changed(other)
        self._claims.setdefault(host, {})[pipeline] = claim
        self._host_of[pipeline] = host

    def drop(self, pipeline: PipelineKey) -> None:
        """The Ingress of a pipeline is gone: whoever waits for its host may have it."""
        host = self._host_of.pop(pipeline, None)
        if host is None:
            return
        del self._claims[host][pipeline]
        if not self._claims[host]:
            del self._claims[host]
        for waiting in [key for key, wanted in self._waiting.items() if wanted == host]:
            self._changed(waiting)

    def holder(self, pipeline: PipelineKey, host: str, class_name: str | None) -> PipelineKey | None:
        """The other pipeline that keeps this host; None when it is free. The pipeline counts as waiting until the host is free.

        Without a class in the spec the API server fills in the cluster's default class when the Ingress is created. Until then any
        Ingress of the host may be a rival.
        """
        claims = self._claims.get(host, {})
        own = claims.get(pipeline)
        known = class_name or (own.class_name if own else None)
        rivals = [claim for key, claim in claims.items() if key != pipeline and known in (None, claim.class_name)]
        oldest = min(rivals, default=None)
        if oldest is None or (own is not None and own.class_name == known and own < oldest):
            self.forget(pipeline)
            return None
        self._waiting[pipeline] = host
        return oldest.pipeline

    def forget(self, pipeline: PipelineKey) -> None:
        """The pipeline waits for no host any more."""
        self._waiting.pop(pipeline, None)
