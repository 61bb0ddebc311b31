"""The question that asks the API of each pipeline for its load, and the push of what the operator decided.

An idle pipeline costs one request in ten minutes; a burst is heard of at once. What is heard is only kept, and a pass asked for when it
would do or say something else than the last one did. A decision is pushed when it changes; each answer tells which one the API has, so a
push that was lost, by whichever side, is repeated. Apps of release 0.1 know only the question that carries the decision along.
"""

import asyncio
import json
import logging
import random
import socket
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

URL: Final = "http://{service}.{namespace}.svc:{port}"
IDLE_WAIT_SECONDS: Final = 600
OLD_IDLE_WAIT_SECONDS: Final = 55
"""Where the decision comes with the question."""
BUSY_WAIT_SECONDS: Final = 10
"""While there is work: what the running jobs need still shrinks, which is no news, and pods are marked by it."""
SPREAD: Final = 0.1
"""Waits differ by this share, so that a thousand pipelines found at the same start are not asked at the same moment for ever."""
KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""An API pod that vanished without a word is given up after a minute, see tcp(7): nothing else is sent while a question waits."""
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

_UNKNOWN_STATUSES: Final = (404, 405, 501)
"""What an app answers to a request that its release does not know."""
_SHOWN: Final = ("workers", "floor", "min", "max", "sentence")
"""What makes two decisions the same: not the time."""

_FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ValidationError, ValueError)

logger = logging.getLogger(__name__)


class Unknown(ValueError):
    """The app's release does not know this request."""


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
    kept: dict[str, Any] | None = None
    """The decision that the API has, as far as we know."""
    takes_pushes: bool = False
    """Whether the API knows pushes, and answered when it was asked last."""
    push: asyncio.Task[None] | None = None

    def heard(self, load: Load) -> News:
        """The API answered."""
        self.reading, self.failures = Reading(load), 0
        return self.news()

    def answered(self, answer: Mapping[str, Any]) -> None:
        """What the answer tells of the decision that the API has. One without that member is an older release's."""
        self.takes_pushes = "decision" in answer
        kept = answer.get("decision")
        self.kept = kept if isinstance(kept, dict) else None

    @property
    def has_to_push(self) -> bool:
        """Whether the API has to be told the present decision."""
        return self.takes_pushes and self.decision is not None and _shown(self.decision) != _shown(self.kept or {})

    def patience(self) -> float:
        """How long the next question may wait, in seconds."""
        load = self.reading.load
        return 0 if load is None else BUSY_WAIT_SECONDS if load.jobs else IDLE_WAIT_SECONDS

    def failed(self, why: str, now: float) -> News:
        """It did not. Only after a while that is news."""
        if not self.failures:
            self.failing_since = now
        self.failures += 1
        self.takes_pushes = False
        if now - self.failing_since < AWAY_SECONDS:
            return News.NONE
        self.reading = Reading(away=why)
        return self.news()

    def backoff(self) -> float:
        """How long to wait after a failure, in seconds."""
        return min(BACKOFF_BASE_SECONDS * 2.0 ** (self.failures - 1), BACKOFF_CAP_SECONDS)

    def question(self, wait: float) -> dict[str, str]:
        """The query that asks the API."""
        load = self.reading.load
        return {**({"since": load.version} if load else {}), "wait": f"{wait:.1f}"}

    def old_question(self, wait: float) -> dict[str, Any]:
        """What to ask the API of release 0.1."""
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
        if new.broker != old.broker:
            return News.DEEDS
        if autoscale.floor(now, worker, before.floor) != autoscale.floor(before.reading, worker, before.floor):
            return News.DEEDS
        if autoscale.changed_marks(new, before.marks) != autoscale.changed_marks(old, before.marks):
            return News.DEEDS
        return News.NONE if autoscale.amount(new, worker) == autoscale.amount(old, worker) else News.WORDS


class LoadPolls:
    """One waiting question for each pipeline that wants one; `news` is called with what was heard."""

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
            for task in filter(None, (found[1], found[0].push)):
                task.cancel()

    def settle(self, key: PipelineKey, settled: Settled, decision: dict[str, Any]) -> None:
        """A pass ended: what it made of the reading, and the decision that the API shall show."""
        if found := self._followed.get(key):
            followed = found[0]
            followed.settled, followed.decision = settled, decision
            followed.passed.set()
            self._push_if_needed(key, followed)
            if followed.reading is not settled.reading:  # heard while the pass was under way
                self._news(key, followed.news())

    async def close(self) -> None:
        """End all polls."""
        tasks = [task for followed, poll in self._followed.values() for task in (poll, followed.push) if task]
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
            self._push_if_needed(key, followed)
            if news is News.DEEDS:
                with suppress(TimeoutError):
                    await asyncio.wait_for(followed.passed.wait(), PASS_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, key: PipelineKey, followed: Followed) -> Load:
        async with self._slots:
            patience = followed.patience() * min(1.0, MAX_OPEN / max(1, len(self._followed)))
            wait = patience * random.uniform(1 - SPREAD, 1)  # noqa: S311 - no secret
            try:
                if not followed.takes_pushes:
                    wait = 0  # first of all: which decision does it have?
                answer = await self._send(key, "GET", "/load", wait, params=followed.question(wait))
            except Unknown:
                wait = min(patience, OLD_IDLE_WAIT_SECONDS)
                answer = await self._send(key, "POST", "/load", wait, json=followed.old_question(wait))
            load = Load.model_validate(answer)
            followed.answered(answer)
            return load

    def _push_if_needed(self, key: PipelineKey, followed: Followed) -> None:
        if followed.has_to_push and (followed.push is None or followed.push.done()):
            followed.push = asyncio.create_task(self._push(key, followed))

    async def _push(self, key: PipelineKey, followed: Followed) -> None:
        """Push the decision until the API has the present one. While it does not answer questions either, they are asked first."""
        failures = 0
        while followed.has_to_push:
            decision = followed.decision
            try:
                await self._send(key, "PUT", "/scaling", 0, json=decision)
            except _FAILURES as error:
                failures += 1
                logger.info("The decision for %s cannot be pushed: %s", key, _reason(error))
                await asyncio.sleep(min(BACKOFF_BASE_SECONDS * 2.0 ** (failures - 1), BACKOFF_CAP_SECONDS))
            else:
                failures, followed.kept = 0, decision

    async def _send(self, key: PipelineKey, method: str, path: str, wait: float, **content: Any) -> dict[str, Any]:
        namespace, name = key
        service = names.internal_service(name)
        url = self._url.format(service=service, namespace=namespace, name=name, port=names.API_INTERNAL_PORT) + path
        timeout = aiohttp.ClientTimeout(total=wait + ANSWER_SECONDS, sock_connect=ANSWER_SECONDS / 2)
        async with self._client().request(method, url, timeout=timeout, allow_redirects=False, **content) as answer:
            if answer.status in _UNKNOWN_STATUSES:
                raise Unknown(f"HTTP {answer.status}")
            if answer.status == 204:
                return {}
            if answer.status != 200:
                raise ValueError(f"HTTP {answer.status}")
            if answer.content_length is None or answer.content_length > MAX_ANSWER_BYTES:
                raise ValueError("more than a load")  # whoever took over an API pod must not fill the operator's memory
            said = json.loads(await answer.read())
            if not isinstance(said, dict):
                raise ValueError("no JSON object")
            return said

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A connection is open as long as its request waits, so their number is bounded above. What an API pod sends is neither
            # kept (cookies) nor allowed to grow (compression).
            connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_kept_alive)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, middlewares=(_once,)
            )
        return self._session


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Let a connection that broke be a failure: aiohttp sends a GET or PUT again by itself, unseen, with the wait that it had.

    https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/client.py (IDEMPOTENT_METHODS)
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # not sent again
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error


def _kept_alive(address: Any) -> socket.socket:
    """A socket for an address as aiohttp has found it, that notices when the other side has vanished."""
    family, kind, protocol, *_ = address
    connection = socket.socket(family, kind, protocol)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):  # not everywhere
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return connection


def _shown(decision: Mapping[str, Any]) -> list[Any]:
    return [decision.get(name) for name in _SHOWN]


def _reason(error: Exception) -> str:
    """Why it failed, in words that stay the same as long as the cause does, whatever pod or port was tried."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the Service's name is not known"
    if isinstance(error, aiohttp.ClientConnectionError | OSError | TimeoutError):
        return "no API pod answers"
    if isinstance(error, ValidationError):
        return "the API answered what this operator does not understand"
    return f"the API answered {error}"
