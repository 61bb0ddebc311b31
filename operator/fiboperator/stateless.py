"""kopf without state of its own: nothing is read from a FibPipeline, compared or kept for the next event.

Only `on.event` is used, which needs none of it. kopf's own storages copy each FibPipeline several times an event, all the same.
https://docs.kopf.dev/en/stable/configuration/#handling-progress
"""

from typing import Any

import kopf


class NoDiffBase(kopf.DiffBaseStorage):
    """Remembers no state to compare with."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of the object matters."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        """There is nothing."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""


class NoProgress(kopf.ProgressStorage):
    """Remembers no progress of handlers."""

    def fetch(self, **_: Any) -> None:
        """There is nothing."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""

    def purge(self, **_: Any) -> None:
        """There is nothing."""

    def touch(self, **_: Any) -> None:
        """Write nothing."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """There is nothing of ours in it."""
        return essence
