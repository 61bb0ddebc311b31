"""The connection to the API server: login, requests and streams through one shared client. Used by `cluster` alone."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import closing
from typing import Any, Final, Self

import aiohttp
import orjson
from kubernetes.aio import client, config
from kubernetes.aio.client import rest
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.resource import Resource

from . import metrics
from .errors import FAILURES, NotHeld, api_error
from .kinds import ALL_KINDS, WATCHED_KINDS
from .resources.objects import Object

REQUEST_TIMEOUT_SECONDS: Final = 30
WATCH_SECONDS: Final = 590
# The API server sends a bookmark each minute: a stream that is silent for longer is dead.
WATCH_SILENCE_SECONDS: Final = 70
CONCURRENT_REQUESTS: Final = 16
KEEP_CONNECTION_SECONDS: Final = 80
# With a parameter the client sends bytes as they are; without one it would go through the object twice to make its own JSON of it.
APPLY: Final = "application/apply-patch+yaml; charset=utf-8"
MERGE: Final = "application/merge-patch+json"


class _ApiClient(client.ApiClient):
    """The client without the walk through each body and parameter that turns models into JSON: ours are JSON."""

    def sanitize_for_serialization(self, obj: Any) -> Any:
        """As it is."""
        return obj


class _Connections(rest.RESTClientObject):
    """Keeps its connections while the API server does (90 s): a pipeline that comes after a pause needs no handshakes."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, keepalive_timeout=KEEP_CONNECTION_SECONDS)


class Connection:
    """Sends requests. Failures are raised as ApiError, with `action` in their words."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._client = DynamicClient(api)
        self._resources: dict[str, Resource] = {}
        self._slots = asyncio.Semaphore(CONCURRENT_REQUESTS)
        self.may_write: Callable[[str], bool] = lambda _: True
        """Whether a namespace may be written to at this moment; asked before each write."""

    @classmethod
    async def open(cls, parts: int = 1) -> Self:
        """Log in as the pod's ServiceAccount, or by the kubeconfig outside a cluster. Each of `parts` is watched on its own."""
        configuration = client.Configuration()
        configuration.connection_pool_maxsize = CONCURRENT_REQUESTS + len(WATCHED_KINDS) * parts
        # Otherwise each request looks for a netrc file and for proxies, on a thread: a quarter of its time. A kubeconfig's proxy is used.
        configuration.client_session_kwargs = {"trust_env": False}
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)
        api = _ApiClient(configuration)
        api.rest_client = _Connections(configuration)
        return cls(api)

    async def close(self) -> None:
        await self._api.close()

    def path(self, kind: str, namespace: str | None, name: str | None = None) -> str:
        """The path of an object, or of all of a kind; without a namespace of all namespaces."""
        return str(self._resource(kind).path(name, namespace))

    def _resource(self, kind: str) -> Resource:
        if kind not in self._resources:
            api_version, plural = ALL_KINDS[kind]
            group, _, version = api_version.rpartition("/")
            self._resources[kind] = Resource(
                prefix="apis" if group else "api",
                group=group,
                api_version=version,
                kind=kind,
                namespaced=True,
                name=plural,
                client=self._client,
            )
        return self._resources[kind]

    async def request(
        self, method: str, action: str, path: str, *, query: Sequence[tuple[str, str]] = (), accept: str = "", **options: Any
    ) -> Object:
        """Ask something; returns the answer. `query` adds parameters that the client has no word for, `accept` asks for a form."""
        try:
            async with self._slots:
                response = await self._client.request(
                    method,
                    path,
                    serialize=False,
                    _request_timeout=REQUEST_TIMEOUT_SECONDS,
                    header_params={"Accept": accept} if accept else {},
                    query_params=list(query),  # the client adds to it
                    **options,
                )
                return dict(orjson.loads(await response.read()))
        except FAILURES as error:
            raise api_error(action, error) from error

    async def write(self, method: str, action: str, kind: str, path: str, *, guarded: bool = True, **options: Any) -> Object:
        """A request that changes something, counted by kind. Raises NotHeld where nothing may be written now, if `guarded`."""
        if guarded and not self.may_write(namespace_in(path)):
            raise NotHeld(action)
        metrics.WRITES.labels(kind).inc()
        return await self.request(method, action, path, **options)

    async def patch(self, action: str, kind: str, path: str, body: Object) -> Object:
        """A merge patch."""
        return await self.write("patch", action, kind, path, body=body, content_type=MERGE)

    async def apply(self, action: str, kind: str, path: str, body: Object, **options: Any) -> Object:
        """Server-side apply."""
        return await self.write("patch", action, kind, path, body=orjson.dumps(body), content_type=APPLY, **options)

    async def stream(self, action: str, path: str, **options: Any) -> AsyncGenerator[Object]:
        """Yield what a watch brings, until the server ends it."""
        try:
            response = await self._client.request(
                "get",
                path,
                serialize=False,
                timeout_seconds=WATCH_SECONDS,
                watch="true",
                query_params=[("allowWatchBookmarks", "true")],
                _request_timeout=aiohttp.ClientTimeout(total=WATCH_SECONDS + 30, sock_connect=30, sock_read=WATCH_SILENCE_SECONDS),
                **options,
            )
            with closing(response):  # an unread one would keep its place among the connections until the garbage is collected
                async for line in _lines(response):
                    yield orjson.loads(line)
        except FAILURES as error:
            raise api_error(action, error) from error


def namespace_in(path: str) -> str:
    """The namespace in the path of a request; empty when it has none."""
    return path.partition("/namespaces/")[2].partition("/")[0]


async def _lines(response: Any) -> AsyncIterator[bytes]:
    # Not `readline`: aiohttp refuses a line over 64 KiB, and an object may be larger.
    pending = b""
    while True:
        chunk = await response.content.readany()
        if not chunk:
            return
        *complete, pending = (pending + chunk).split(b"\n")
        for line in complete:
            yield line
