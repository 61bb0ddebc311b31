"""The small HTTP server for health and metrics: where it listens."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from fibapp import httpd
from fibapp.server import bind_address


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server on the host that is the parameter."""
    server = httpd.serve(request.param, 0, {"/healthz": httpd.health(lambda: None)})
    yield server.server_port
    server.shutdown()
    server.server_close()


def answers(host: str, port: int) -> bool:
    try:
        return httpx.get(f"http://{host}:{port}/healthz").status_code == 200
    except httpx.ConnectError:
        return False


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("port", [""], indirect=True)
def test_without_an_address_it_answers_on_both_families(port: int) -> None:
    assert answers("127.0.0.1", port)
    assert answers("[::1]", port)


@pytest.mark.parametrize("port", ["127.0.0.1"], indirect=True)
def test_on_one_address_it_answers_there_alone(port: int) -> None:
    assert answers("127.0.0.1", port)
    assert not answers("[::1]", port)


@pytest.mark.parametrize(("has_ipv6", "bound"), [(True, "[::]:8000"), (False, "0.0.0.0:8000")])
def test_where_there_is_no_ipv6_all_addresses_are_those_of_ipv4(monkeypatch: pytest.MonkeyPatch, has_ipv6: bool, bound: str) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: has_ipv6)
    assert bind_address("", 8000) == bound
    assert bind_address("127.0.0.1", 8000) == "127.0.0.1:8000"
    assert bind_address("::1", 8000) == "[::1]:8000"


def test_a_client_counts_as_there_until_it_hangs_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert httpd.is_open(ours)
        theirs.sendall(b"more")
        assert httpd.is_open(ours)
        ours.recv(4)
        theirs.close()
        assert not httpd.is_open(ours)
