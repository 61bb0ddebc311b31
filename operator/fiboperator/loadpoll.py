"""The long poll that asks the API of each pipeline for its load, and brings along what the operator decided.

An idle pipeline costs one request a minute; a burst is heard of at once. What is heard is only kept, and a pass asked for when it
would do or say something else than the last one did.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

import aiohttp
from pydantic import ValidationError

from . import autoscale, metrics, names
from .autoscale import Load, Reading
from .children import PipelineKey
from .spec import Worker

URL: Final = "http://{service}.{namespace}.svc:{port}/load"
IDLE_WAIT_SECONDS: Final = 55
BUSY_WAIT_SECONDS: Final = 10
"""While there is work: so that the page never shows a decision much older."""
PAUSE_SECONDS: Final = 0.5
"""Between two requests while the load moves all the time."""
PASS_SECONDS: Final = 2.0
"""What is heard is answered with the decision that it led to, unless the pass takes longer than this."""
ANSWER_SECONDS: Final = 10
"""How long after its wait an API pod may take to answer."""
MAX_ANSWER_BYTES: Final = 1 << 20
MAX_OPEN: Final = 1000
"""Requests that wait at the same time; with more pipelines than that they take turns, each waiting shorter."""
AWAY_SECONDS: Final = 20.0
"""For so long a load that cannot be had is believed to be what it was: an API pod that is replaced is no news."""
BACKOFF_BASE_SECONDS: Final = 0.5
BACKOFF_CAP_SECONDS: Final = 15.0

_FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ValidationError, ValueError)

logger = logging.getLogger(__name__)


class News(Enum):
    """What a reading calls for: no pass, one that only tells, one that acts."""

    NONE = auto()
    WORDS = auto()
    DEEDS = auto()


@dataclass(frozen=True)
class Settled:
    """What the last pass saw and left behind: the floor that holds now, and the marks on pods that may have to leave."""

    reading: Reading
    worker: Worker
    floor: int
    marks: Mapping[str, str | None]


@dataclass
class Followed:
    """What is known of one pipeline. No I/O; times are seconds of any steady clock."""

    reading: Reading = field(default_factory=Reading)
    settled: Settled | None = None
    decision: dict[str, Any] | None = None
    failures: int = 0
    failing_since: float = 0.0
    passed: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, load: Load) -> News:
        """The API answered."""
        self.reading, self.failures = Reading(load), 0
        return self.news()

    def failed(self, why: str, now: float) -> News:
        """It did not. Only after a while that is news."""
        if not self.failures:
            self.failing_since = now
        self.failures += 1
        if now - self.failing_since < AWAY_SECONDS:
            return News.NONE
        self.reading = Reading(away=why)
        return self.news()

    def backoff(self) -> float:
        """How long to wait after a failure, in seconds."""
        return min(BACKOFF_BASE_SECONDS * 2.0 ** (self.failures - 1), BACKOFF_CAP_SECONDS)

    def question(self, wait: float) -> dict[str, Any]:
        """What to ask the API."""
        load = self.reading.load
        return {"seen": load.version if load else None, "wait": wait, "decision": self.decision}

    def news(self) -> News:
        """Whether a pass would do or tell something else now than the last one did, with what it saw."""
        before, now = self.settled, self.reading
        if before is None or (now.load is None) != (before.reading.load is None) or now.away != before.reading.away:
            return News.DEEDS
        if now.load is None or before.reading.load is None:
            return News.NONE
        worker, old, new = before.worker, before.reading.load, now.load
        if autoscale.floor(now, worker, before.floor) != autoscale.floor(before.reading, worker, before.floor):
            return News.DEEDS
        if autoscale.changed_marks(new, before.marks) != autoscale.changed_marks(old, before.marks):
            return News.DEEDS
        return News.NONE if autoscale.amount(new, worker) == autoscale.amount(old, worker) else News.WORDS


class LoadPolls:
    """One long poll for each pipeline that wants one; `news` is called with what was heard."""

    def __init__(self, news: Callable[[PipelineKey, News], None], url: str = URL, clock: Callable[[], float] = time.monotonic) -> None:
        self._news = news
        self._url = url
        self._clock = clock
        self._followed: dict[PipelineKey, tuple[Followed, asyncio.Task[None]]] = {}
        self._slots = asyncio.Semaphore(MAX_OPEN)
        self._session: aiohttp.ClientSession | None = None

    def follow(self, key: PipelineKey) -> Reading:
        """Poll this pipeline from now on; returns what is known of it."""
        if key not in self._followed:
            followed = Followed()
            self._followed[key] = followed, asyncio.create_task(self._poll(key, followed))
        return self._followed[key][0].reading

    def forget(self, key: PipelineKey) -> None:
        """Poll it no more."""
        if found := self._followed.pop(key, None):
            found[1].cancel()

    def settle(self, key: PipelineKey, settled: Settled, decision: dict[str, Any]) -> None:
        """A pass ended: what it made of the reading, and the decision that the API shall show."""
        if found := self._followed.get(key):
            followed = found[0]
            followed.settled, followed.decision = settled, decision
            followed.passed.set()
            if followed.reading is not settled.reading:  # heard while the pass was under way
                self._news(key, followed.news())

    async def close(self) -> None:
        """End all polls."""
        tasks = [task for _, task in self._followed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session:
            await self._session.close()

    async def _poll(self, key: PipelineKey, followed: Followed) -> None:
        while True:
            try:
                load = await self._ask(key, followed)
            except _FAILURES as error:
                metrics.POLLS.labels("failed").inc()
                if not followed.failures:
                    logger.info("The load of %s cannot be had: %s", key, _reason(error))
                followed.passed.clear()
                self._news(key, followed.failed(_reason(error), self._clock()))
                await asyncio.sleep(followed.backoff())
                continue
            metrics.POLLS.labels("answered").inc()
            followed.passed.clear()
            news = followed.heard(load)
            self._news(key, news)
            if news is News.DEEDS:
                with suppress(TimeoutError):
                    await asyncio.wait_for(followed.passed.wait(), PASS_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, key: PipelineKey, followed: Followed) -> Load:
        load = followed.reading.load
        patience = 0 if load is None else BUSY_WAIT_SECONDS if load.jobs else IDLE_WAIT_SECONDS
        namespace, name = key
        service = names.internal_service(name)
        url = self._url.format(service=service, namespace=namespace, name=name, port=names.API_INTERNAL_PORT)
        async with self._slots:
            wait = patience * min(1.0, MAX_OPEN / max(1, len(self._followed)))
            timeout = aiohttp.ClientTimeout(total=wait + ANSWER_SECONDS, sock_connect=ANSWER_SECONDS / 2)
            async with self._client().post(url, json=followed.question(wait), timeout=timeout, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise ValueError(f"HTTP {answer.status}")
                if answer.content_length is None or answer.content_length > MAX_ANSWER_BYTES:
                    raise ValueError("more than a load")  # whoever took over an API pod must not fill the operator's memory
                return Load.model_validate(json.loads(await answer.read()))

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A connection is open as long as its request waits, so their number is bounded above. What an API pod sends is neither
            # kept (cookies) nor allowed to grow (compression).
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
        return self._session


def _reason(error: Exception) -> str:
    """Why it failed, in words that stay the same as long as the cause does, whatever pod or port was tried."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the Service's name is not known"
    if isinstance(error, aiohttp.ClientConnectionError | OSError | TimeoutError):
        return "no API pod answers"
    if isinstance(error, ValidationError):
        return "the API answered what this operator does not understand"
    return f"the API answered {error}"
