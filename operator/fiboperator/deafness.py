"""Notices that kopf shows no pipelines although there are some.

kopf looks for the resources it watches when it starts, and again when it hears of a change of their CRD. Where the API server's discovery
lags behind that, or the news is lost, it waits for ever: the process lives and does nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from .errors import ApiError

LOOK_SECONDS = 20.0


class Deaf(Exception):
    """Only a restart of the process helps."""


async def listen(known: Callable[[], int], exist: Callable[[], Awaitable[bool]]) -> NoReturn:
    """Look every 20 s, while no pipeline is known, whether there is one. Raises Deaf when there was one at two looks in a row."""
    missed = False
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            unheard = not known() and await exist()
        except ApiError:
            unheard = False  # no such kind, or no answer
        if unheard and missed and not known():
            raise Deaf("there are FibPipelines of which kopf does not tell")
        missed = unheard
