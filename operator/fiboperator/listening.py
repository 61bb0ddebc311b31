"""Ports that answer on both address families, and the liveness endpoint on one of them.

A kubelet probes the primary address of a pod, which in an IPv6 cluster is no IPv4 address. A host such as `::` is not enough: asyncio and
uvloop make an IPv6 socket refuse IPv4 (IPV6_V6ONLY), which is why the endpoint is not kopf's own: that takes a host.
"""

import socket
from collections.abc import Callable

from aiohttp import web


def any_address() -> str:
    """The address that stands for all of both families, or for all of IPv4 where the node has no IPv6."""
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - probes and Prometheus reach a pod by its address


def listening_socket(port: int) -> socket.socket:
    """A socket that listens on a port of all addresses."""
    address = any_address()
    if ":" in address:
        return socket.create_server((address, port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server((address, port))


async def serve_health(port: int, trouble: Callable[[], str | None], words: Callable[[], str] = str) -> web.AppRunner:
    """Answer `/healthz`: 200, or 503 with the words of `trouble`, and `/readyz` likewise with `words`.

    Returns what is to be cleaned up at the end. An operator that waits for another's Lease is ready: it takes over as soon as it may.
    """

    async def health(_: web.Request) -> web.Response:
        wrong = trouble()
        return web.Response(status=503 if wrong else 200, text=f"{wrong or 'ok'}\n")

    async def ready(_: web.Request) -> web.Response:
        wrong = trouble()
        return web.Response(status=503 if wrong else 200, text=f"{wrong or words() or 'ok'}\n")

    app = web.Application()
    app.add_routes([web.get("/healthz", health), web.get("/readyz", ready)])
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, listening_socket(port)).start()
    return runner
