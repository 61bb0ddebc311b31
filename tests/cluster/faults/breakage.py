"""What can become of a request at the proxy."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.cluster.proxy import Exchange, Fault


async def drop_before(exchange: Exchange) -> web.StreamResponse:
    """The connection ends and the server has not seen the request."""
    return exchange.cut()


async def drop_after(exchange: Exchange) -> web.StreamResponse:
    """The server has done it, but the connection ends before the answer."""
    await exchange.forward()
    return exchange.cut()


async def twice(exchange: Exchange) -> web.StreamResponse:
    """The server gets the request twice; the client sees the second answer."""
    await exchange.forward()
    return await exchange.forward()


async def silent(exchange: Exchange) -> web.StreamResponse:
    """The request is accepted, then nothing more comes: a watch gets the head of an answer, anything else not even that."""
    if exchange.call.verb == "watch":
        await exchange.begin_stream()
    exchange.proxy.streams.add(exchange)
    try:
        await asyncio.Event().wait()
    finally:
        exchange.proxy.streams.discard(exchange)
    raise AssertionError("only the client ends the silence")


def delay(seconds: float) -> Fault:
    """The request is passed on later."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await exchange.ordinary()

    return fault


def answer(status: int, reason: str, headers: dict[str, str] | None = None) -> Fault:
    """The server is not asked; the client gets this error."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return web.json_response(_status_body(status, reason, "made by the proxy"), status=status, headers=headers)

    return fault


def filtered(change: Callable[[bytes], bytes]) -> Fault:
    """A watch whose lines go through `change`; an empty result is an event that gets lost."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return await exchange.stream(change)

    return fault


class Compacted:
    """Watches are told that their resource version is too old, until somebody lists."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self._listed = False

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """For the watches and the lists of one resource."""
        if exchange.call.verb != "watch":
            self._listed = True
        if self._listed:
            return await exchange.ordinary()
        response = await exchange.begin_stream()
        event = {"type": "ERROR", "object": _status_body(410, "Expired", "too old resource version")}
        await response.write(json.dumps(event).encode() + b"\n")
        self.told.set()
        return response


class Frozen:
    """Each list is answered as it was when it was first asked for: a server that lags behind."""

    def __init__(self) -> None:
        self._answers: dict[str, web.Response] = {}

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Answer from memory, or take the truth into memory."""
        if exchange.url not in self._answers:
            self._answers[exchange.url] = await exchange.forward()
        kept = self._answers[exchange.url]
        return web.Response(status=kept.status, headers=kept.headers, body=kept.body)


class CrashAfter:
    """The client is killed as soon as its first `count` requests have gone through; the server sees none after them."""

    def __init__(self, count: int, kill: Callable[[], None]) -> None:
        self.done = threading.Event()
        self._count, self._kill = count, kill
        self._begun = self._ended = 0

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Pass the first requests on; the last of them to end brings the crash."""
        if self._begun >= self._count:
            return await silent(exchange)
        self._begun += 1
        response = await exchange.forward()
        self._ended += 1
        if self._ended < self._count:
            return response
        await asyncio.get_running_loop().run_in_executor(None, self._crash)  # cancelled when the client's connection ends
        return exchange.cut()

    def _crash(self) -> None:
        self._kill()
        self.done.set()


def _status_body(status: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason, "message": message}
