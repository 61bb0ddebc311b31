"""Keeps every node's nftables ruleset as the NetworkPolicies say. Run on the host as `python -m lab.netpol_agent`.

It watches pods, namespaces and policies, compiles them (lab.netpol) and loads what changed into the nodes' network namespaces.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from kubernetes import client, config

from lab import namespaces, netpol, process
from lab.console import say
from lab.settings import LabError, Settings

_SETTLE_SECONDS = 0.02
"""Changes that come together are compiled together."""
_LOOK_SECONDS = 1.0
"""How soon a node that was started again gets its rules."""
_RETRY_SECONDS = 1.0


class Mirror(threading.Thread):
    """A local copy of one kind of object, reduced by `reduce`; `changed` is set when the reduced form changes."""

    def __init__(self, list_objects: Callable[..., Any], reduce: Callable[[dict[str, Any]], Any], changed: threading.Event) -> None:
        """`list_objects` is a list call of the client; `reduce` returns None for an object of no interest."""
        super().__init__(daemon=True)
        self._list, self._reduce, self._changed = list_objects, reduce, changed
        self.content: dict[tuple[str, str], Any] = {}
        self.synced = threading.Event()

    def run(self) -> None:
        """List and watch for ever."""
        while True:
            try:
                self._follow()
            except Exception as error:  # whatever ended the watch, the next list starts from the truth
                say(f"watch ended: {type(error).__name__}: {error}")
                time.sleep(_RETRY_SECONDS)

    def _follow(self) -> None:
        listed = json.loads(self._list(_preload_content=False).data)
        self.content = {_key(item): self._reduce(item) for item in listed["items"]}
        self._changed.set()
        self.synced.set()
        version = listed["metadata"]["resourceVersion"]
        response = self._list(watch=True, resource_version=version, timeout_seconds=600, _preload_content=False)
        for event in _lines(response):
            item = json.loads(event)
            if item["type"] == "ERROR":
                return
            self._take(item["type"], item["object"])

    def _take(self, kind: str, item: dict[str, Any]) -> None:
        key, value = _key(item), None if kind == "DELETED" else self._reduce(item)
        if self.content.get(key) == value:
            return
        content = dict(self.content)
        content.pop(key, None)
        if value is not None:
            content[key] = value
        self.content = content
        self._changed.set()


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(None, decode_content=False):
        *complete, rest = (rest + chunk).split(b"\n")
        yield from (line for line in complete if line)


def _policy(item: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"namespace": item["metadata"]["namespace"], "name": item["metadata"]["name"]}, "spec": item["spec"]}


def _load(pid: int, ruleset: str) -> None:
    process.run("nsenter", "--target", str(pid), "--net", "nft", "-f", "-", stdin=ruleset)


def run(settings: Settings) -> None:
    """Enforce policies for ever."""
    configuration = client.Configuration()
    config.load_kube_config(str(settings.system_kubeconfig), client_configuration=configuration)
    api = client.ApiClient(configuration)
    core, networking = client.CoreV1Api(api), client.NetworkingV1Api(api)
    changed = threading.Event()
    pods = Mirror(core.list_pod_for_all_namespaces, netpol.pod_of, changed)
    spaces = Mirror(core.list_namespace, lambda item: item["metadata"].get("labels") or {}, changed)
    policies = Mirror(networking.list_network_policy_for_all_namespaces, _policy, changed)
    mirrors = (pods, spaces, policies)
    for mirror in mirrors:
        mirror.start()
    for mirror in mirrors:
        mirror.synced.wait()
    loaded: dict[tuple[str, int], str] = {}
    while True:
        if changed.wait(_LOOK_SECONDS):
            time.sleep(_SETTLE_SECONDS)
            changed.clear()
        for node in settings.nodes:
            _enforce(settings, node.name, loaded, pods, spaces, policies)


def _enforce(settings: Settings, node: str, loaded: dict[tuple[str, int], str], pods: Mirror, spaces: Mirror, policies: Mirror) -> None:
    try:
        place = (node, namespaces.inner_pid(settings, node))
        everyone = [pod for pod in pods.content.values() if pod is not None]
        labels = {name: labels for (_, name), labels in spaces.content.items()}
        ruleset = netpol.compile_node(node, everyone, labels, [value for _, value in sorted(policies.content.items())])
        if loaded.get(place) != ruleset:
            _load(place[1], ruleset)
            loaded[place] = ruleset
    except LabError as error:  # a node that is down just now
        if namespaces.is_running(settings, node):
            say(str(error))


if __name__ == "__main__":
    run(Settings.from_environment())
