"""Settings, addresses and what the machine must have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lab import addons, controlplane, preflight
from lab.settings import DNS_ADDRESS, INGRESS_ADDRESS, LabError, Node, Settings


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("FIBLAB_HOME", "FIBLAB_NODES", "FIBLAB_APISERVER_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings.from_environment()
    assert settings.node_count == 5
    assert settings.home == tmp_path / ".cache/fibpipeline-lab"


def test_a_running_lab_s_size_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FIBLAB_NODES", raising=False)
    monkeypatch.setenv("FIBLAB_HOME", str(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "node-count").write_text("3")
    assert Settings.from_environment().node_count == 3
    assert Settings.from_environment(2).node_count == 2


@pytest.mark.parametrize(
    ("name", "value", "word"), [("FIBLAB_NODES", "many", "number"), ("FIBLAB_NODES", "0", "1 to"), ("FIBLAB_HOME", "/run/x", "/run")]
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, word: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(LabError, match=word):
        Settings.from_environment()


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIBLAB_NODES", "3")
    assert Settings.from_environment(2).node_count == 2


def test_more_flags_reach_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIBLAB_APISERVER_FLAGS", "--v=4 '--feature-gates=A=true,B=false'")
    plan = controlplane.plan(Settings.from_environment())
    command = next(program["command"] for program in plan["programs"] if program["name"] == "kube-apiserver")
    assert command[-2:] == ["--v=4", "--feature-gates=A=true,B=false"]
    json.dumps(plan)


def test_node_addresses() -> None:
    node = Node(3)
    assert (node.name, node.address, node.pod_cidr) == ("node-3", "172.31.255.13", "10.244.3.0/24")


def test_the_manifests_carry_the_lab_s_addresses() -> None:
    objects = [item for item in yaml.safe_load_all(addons.rendered()) if item]
    services = {item["metadata"]["name"]: item["spec"].get("clusterIP") for item in objects if item["kind"] == "Service"}
    assert (services["kube-dns"], services["traefik"]) == (DNS_ADDRESS, INGRESS_ADDRESS)
    assert "$" not in "".join(str(item) for item in objects if item["kind"] != "ConfigMap")
    setup = next(item for item in objects if item["metadata"]["name"] == "local-path-config")["data"]["setup"]
    assert 'mkdir -m 0777 -p "$VOL_DIR"' in setup


@pytest.mark.parametrize(
    ("found", "enough"),
    [
        ("go version go1.26.8 linux/amd64", True),
        ("go version go1.27.0 linux/amd64", True),
        ("go version go2.0 linux/amd64", True),
        ("go version go1.26.7 linux/amd64", False),
        ("go version go1.9.9 linux/amd64", False),
        ("", False),
    ],
)
def test_go_versions(found: str, enough: bool) -> None:
    assert preflight.go_is_enough(found, "1.26.8") is enough
