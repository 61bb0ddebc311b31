"""Every port of every process answers on both address families."""

import socket
from collections.abc import Callable

import pytest

from tests.services.pipeline import Pipeline
from tests.waiting import eventually


def accepts(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as connection:
        return connection.connect_ex((host, port)) == 0


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_every_port_answers_over_ipv4_and_ipv6(pipelines: Callable[..., Pipeline]) -> None:
    pipeline = pipelines(FIB_LISTEN_HOST="")
    pipeline.migrate()
    pipeline.start_api()
    relay, worker = pipeline.start_relay(), pipeline.start_worker()
    _, flower = pipeline.start_flower()
    ports = {"api": pipeline.api_port, "internal": pipeline.internal_port, "relay": relay.port, "worker": worker.port}
    for name, port in {**ports, "flower": flower.base_url.port}.items():
        for host in ("127.0.0.1", "::1"):
            eventually(lambda host=host, port=port: accepts(host, port), f"{name} to answer on {host}")  # type: ignore[misc]
