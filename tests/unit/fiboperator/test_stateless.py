"""kopf reads, compares and keeps nothing of a FibPipeline."""

from collections.abc import Iterator
from typing import Any

import kopf

from fiboperator.stateless import NoDiffBase, NoProgress
from tests.pipelines import fibpipeline


class Untouchable(dict[str, Any]):
    """Fails when anybody looks into it, as copying would."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("it was looked into")

    def __getitem__(self, key: str) -> Any:
        raise AssertionError("it was looked into")


def test_an_event_copies_nothing_of_the_object() -> None:
    body = kopf.Body(Untouchable(fibpipeline()))
    differences, progress = NoDiffBase(), NoProgress()
    assert differences.fetch(body=body) is None
    essence = differences.build(body=body, extra_fields=set())
    assert essence == {}
    assert progress.clear(essence=essence) is essence


def test_nothing_is_written_to_the_object() -> None:
    body, patch = kopf.Body(fibpipeline()), kopf.Patch()
    NoDiffBase().store(body=body, patch=patch, essence=kopf.BodyEssence())
    progress = NoProgress()
    progress.touch(body=body, patch=patch, value="now")
    progress.purge(key="notice", body=body, patch=patch)
    assert not patch
