"""Where the operator's own ports answer."""

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, start_http_server

from fiboperator.listening import any_address, listening_socket, serve_health
from lab.services import free_port

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
HOSTS = ("127.0.0.1", "[::1]")


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@needs_ipv6
async def test_liveness_is_answered_on_both_families(client: aiohttp.ClientSession) -> None:
    port = free_port()
    trouble: list[str] = []
    runner = await serve_health(port, lambda: next(iter(trouble), None))
    for host in HOSTS:
        async with client.get(f"http://{host}:{port}/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
    trouble.append("a task ended")
    async with client.get(f"http://127.0.0.1:{port}/healthz") as answer:
        assert (answer.status, await answer.text()) == (503, "a task ended\n")
    await runner.cleanup()


@needs_ipv6
async def test_metrics_are_answered_on_both_families(client: aiohttp.ClientSession) -> None:
    port = free_port()
    server, _ = start_http_server(port, any_address(), registry=CollectorRegistry())
    for host in HOSTS:
        async with client.get(f"http://{host}:{port}/metrics") as answer:
            assert answer.status == 200
    server.shutdown()
    server.server_close()


def test_without_ipv6_on_the_node_ipv4_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listening_socket(0) as listening:
        assert (listening.family, listening.getsockname()[0]) == (socket.AF_INET, "0.0.0.0")  # noqa: S104
