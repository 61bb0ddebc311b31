"""Notices what kopf does not tell of FibPipelines, and acts on it.

kopf looks for the resources it watches when it starts, and again when it hears of a change of their CRD. Where the API server's discovery
lags behind that, or a watch loses its news while it seems alive (https://github.com/nolar/kopf/issues/955,
https://github.com/nolar/kopf/issues/980), it waits for ever. So all generations are listed now and then and compared.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

from .children import PipelineKey
from .errors import ApiError

Heads = Mapping[PipelineKey, tuple[str, int]]
"""The uid and generation of each FibPipeline."""

LOOK_SECONDS = 20.0
# While pipelines are known: an edit that no watch shows is applied after at most so long and a little more.
LOOK_AGAIN_SECONDS = 60.0
# What a watch shows by then was only under way.
UNDER_WAY_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Deaf(Exception):
    """Only a restart of the process helps."""


async def listen(
    known: Callable[[], Heads], heads: Callable[[], Awaitable[Heads]], take: Callable[[PipelineKey], Awaitable[None]]
) -> NoReturn:
    """Compare what is known with what there is, for ever; `take` is called with each FibPipeline whose news was missed.

    Raises Deaf when news were missed for the second time: these were acted on, but late.
    """
    missed_before = False
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS if known() else LOOK_SECONDS)
        try:
            missed = await _missed(known, heads)
            for key in sorted(missed):
                logger.warning("No watch told of the latest change of FibPipeline %s/%s; it was found by a list", *key)
                await take(key)
        except ApiError:
            continue  # no such kind, or no answer
        if missed and missed_before:
            raise Deaf("the watch on FibPipelines does not tell of all changes")
        missed_before = missed_before or bool(missed)


async def _missed(known: Callable[[], Heads], heads: Callable[[], Awaitable[Heads]]) -> set[PipelineKey]:
    there = await heads()
    behind = _differing(known(), there)
    if behind:
        await asyncio.sleep(UNDER_WAY_SECONDS)
        behind &= _differing(known(), there)
    return behind


def _differing(known: Heads, there: Heads) -> set[PipelineKey]:
    """Those that are unknown, gone, another object, or older than what is there."""
    new = {key for key, (uid, generation) in there.items() if key not in known or known[key][0] != uid or known[key][1] < generation}
    return new | (known.keys() - there.keys())
