"""A proxy before the API server, through which the operator alone goes: it counts its requests and breaks those that a rule names."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

CHUNK = 2**22  # an object in a watch is one line, and may be large
_OF_THE_CONNECTION = ("host", "connection", "content-length", "transfer-encoding", "accept-encoding")


@dataclass(frozen=True)
class Call:
    """One request as RBAC sees it. `verb`: get, list, watch, create, patch, update, delete."""

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str

    @classmethod
    def of(cls, method: str, path: str, query: Any) -> Call:
        """Read a request; one that is about no resource has an empty `resource`."""
        parts = [part for part in path.split("/") if part]
        parts = parts[{"api": 2, "apis": 3}.get(parts[0] if parts else "", len(parts)) :]
        namespace = ""
        if len(parts) > 2 and parts[0] == "namespaces":
            namespace, parts = parts[1], parts[2:]
        resource, name, subresource = (*parts, "", "", "")[:3]
        reading = "get" if name else "watch" if query.get("watch") in ("1", "true") else "list"
        verbs = {"GET": reading, "POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
        return cls(verbs.get(method, method.lower()), resource, subresource, namespace, name)

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.verb not in ("get", "list", "watch")


class Exchange:
    """A request that is being handled; a fault decides what becomes of it."""

    def __init__(self, proxy: Proxy, request: web.Request, body: bytes) -> None:
        self.call = Call.of(request.method, request.path, request.query)
        self.url = request.path_qs
        self.proxy = proxy
        self._request = request
        self._body = body

    async def forward(self) -> web.Response:
        """Pass the request on and return the whole answer."""
        async with self._upstream() as answer:
            return web.Response(status=answer.status, headers=_kept(answer.headers), body=await answer.read())

    async def stream(self, change: Callable[[bytes], bytes] = bytes) -> web.StreamResponse:
        """Pass a watch on, line by line; `change` may replace a line, or drop it (by an empty one)."""
        async with self._upstream() as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(self._request)
            self.proxy.streams.add(self)
            try:
                async for line in answer.content:
                    await response.write(change(line))
            finally:
                self.proxy.streams.discard(self)
        return response

    async def ordinary(self) -> web.StreamResponse:
        """Do what a proxy does without rules."""
        return await (self.stream() if self.call.verb == "watch" else self.forward())

    async def begin_stream(self) -> web.StreamResponse:
        """The head of a watch's answer, without asking the server."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(self._request)
        return response

    def cut(self) -> web.Response:
        """End the client's connection without a further byte."""
        if self._request.transport:
            self._request.transport.abort()
        return web.Response(status=500)

    def _upstream(self) -> Any:
        headers = {name: value for name, value in self._request.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        return self.proxy.session.request(self._request.method, self.proxy.upstream + self.url, headers=headers, data=self._body or None)


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]


class Rule:
    """Which requests a fault befalls: those that agree in everything given, from the `skip`+1st on, `times` of them."""

    def __init__(self, fault: Fault, times: int | None, skip: int, match: Callable[[Call], bool]) -> None:
        self.fault = fault
        self.match = match
        self.hits = 0
        self._skip, self._times = skip, times

    def takes(self, call: Call) -> bool:
        """Whether this request is one of them; counts it."""
        if not self.match(call):
            return False
        if self._skip:
            self._skip -= 1
            return False
        if self._times is not None and self.hits >= self._times:
            return False
        self.hits += 1
        return True


class Proxy:
    """The proxy on a free port of loopback, in a thread of its own. Use it as a context manager."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.url = ""
        self.calls: list[Call] = []  # in the order of their arrival
        self.streams: set[Exchange] = set()
        self.session: aiohttp.ClientSession
        self._rules: list[Rule] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._runner = web.AppRunner(self._application(), handler_cancellation=True, access_log=None, shutdown_timeout=0)

    def writes(self, namespace: str) -> list[Call]:
        """The writes in one namespace so far."""
        return [call for call in list(self.calls) if call.writes and call.namespace == namespace]

    @contextmanager
    def rule(
        self, fault: Fault, *, times: int | None = None, skip: int = 0, match: Callable[[Call], bool] = lambda call: True, **fields: str
    ) -> Iterator[Rule]:
        """Have `fault` befall the requests whose fields are equal to `fields`, as long as the context lasts."""
        rule = Rule(fault, times, skip, lambda call: match(call) and all(getattr(call, key) == value for key, value in fields.items()))
        self._rules.insert(0, rule)
        try:
            yield rule
        finally:
            self._rules.remove(rule)

    def cut_watches(self) -> None:
        """End the connections of all watches, and of what is kept in silence."""
        self._loop.call_soon_threadsafe(lambda: [exchange.cut() for exchange in self.streams])

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(120)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=CHUNK,
            skip_auto_headers=("Accept-Encoding", "Content-Type"),
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self.session.close()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=CHUNK)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        exchange = Exchange(self, request, await request.read())
        self.calls.append(exchange.call)
        fault = next((rule.fault for rule in list(self._rules) if rule.takes(exchange.call)), Exchange.ordinary)
        try:
            return await fault(exchange)
        except (aiohttp.ClientError, ConnectionError):
            return exchange.cut()  # the server went away, or the client did


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_THE_CONNECTION}
