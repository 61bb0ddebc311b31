"""The lab as a whole: up, down, and what runs in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from lab import addons, builder, cache, cgroups, controlplane, loading, namespaces, network, node, pki, process, store
from lab.console import say
from lab.settings import INGRESS_ADDRESS, REPOSITORY, LabError, Node, Settings

FORWARDER = "ingress-forwarder"
POLICY_AGENT = "network-policy-agent"
_READY_SECONDS = 180


def kubectl(settings: Settings, *arguments: str, check: bool = True) -> str:
    """Run the lab's kubectl as the lab's own administrator and return its output; "" on failure without `check`."""
    try:
        return process.run(settings.bin / "kubectl", f"--kubeconfig={settings.system_kubeconfig}", *arguments)
    except LabError:
        if check:
            raise
        return ""


def up(settings: Settings) -> bool:
    """Bring the lab up, from whatever state it is in; False if it was up already and nothing changed.

    The control plane starts while the last parts are still built.
    """
    changed = bool(reload_images(settings, early=lambda: _early(settings)))
    with _changing(settings):
        return _start(settings) or changed


def _changing(settings: Settings) -> AbstractContextManager[None]:
    return cache.locked(settings.home / "locks" / "run", lambda: say("waiting: another command changes the lab"))


def _early(settings: Settings) -> None:
    with _changing(settings):
        _same_size(settings)
        _start_control_plane(settings)


def _start(settings: Settings) -> bool:
    _same_size(settings)
    begin = time.monotonic()
    changed = _start_control_plane(settings)
    changed |= _start_nodes(settings, begin)
    process.wait_for("the API server", lambda: kubectl(settings, "get", "--raw", "/readyz", check=False) == "ok", 90)
    if changed:
        addons.apply(settings)
        say(f"API server ready, add-ons applied ({time.monotonic() - begin:.1f} s after the start)")
    changed |= _start_host_programs(settings)
    _wait_ready(settings, begin if changed else None)
    return changed


def _start_control_plane(settings: Settings) -> bool:
    """Start etcd, the API server and the controllers unless they run; True if something was started."""
    changed = pki.ensure(settings)
    settings.logs.mkdir(parents=True, exist_ok=True)
    if not namespaces.is_running(settings, controlplane.NAME):
        _wait_for_other_lab()
        if network.other_lab_address():
            raise LabError("the host has addresses in 172.31.255.0/24 already, which the lab needs for itself")
        for each in settings.nodes:  # without their control plane the nodes have no network
            node.kill(settings, each)
        say("control plane ...")
        plan = settings.run / "control-plane.json"
        plan.write_text(json.dumps(controlplane.plan(settings), indent=1))
        namespaces.launch(settings, controlplane.NAME, plan)
        changed = True
    control_plane = namespaces.inner_pid(settings, controlplane.NAME)
    if not network.is_connected(control_plane):
        network.connect_control_plane(control_plane, settings.nodes)
        changed = True
    return changed


def _start_nodes(settings: Settings, begin: float) -> bool:
    """Start the nodes that do not run and connect them; True if there were any."""
    control_plane, changed = namespaces.inner_pid(settings, controlplane.NAME), False
    started = [each for each in settings.nodes if not node.is_running(settings, each)]
    if started:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda each: node.launch(settings, each), started))
        say(f"{len(started)} nodes launched ({time.monotonic() - begin:.1f} s after the start)")
    for each in settings.nodes:
        if each in started or not network.has_node(control_plane, each):
            node.connect(settings, each)
            changed = True
    return changed


def _wait_for_other_lab() -> None:
    """A link of the lab's name while this lab's control plane is not up is another lab's, or vanishes in a moment with its namespace."""
    try:
        process.wait_for("the former lab's link to vanish", lambda: not network.has_host_link(), 5)
    except LabError:
        raise LabError("another lab runs on this machine (with another FIBLAB_HOME); take that one down first") from None


def _same_size(settings: Settings) -> None:
    """A running lab keeps its number of nodes: every node knows the way to every other from its start."""
    note = settings.node_count_note
    if not namespaces.is_running(settings, controlplane.NAME):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(settings.node_count))
    elif note.read_text() != str(settings.node_count):
        raise LabError(f"the lab runs with {note.read_text()} nodes; for another number: `python -m lab down` first")


def _start_host_programs(settings: Settings) -> bool:
    folder, changed = settings.run / "processes", False
    programs: dict[str, list[str | Path]] = {
        FORWARDER: ["socat", f"TCP-LISTEN:{settings.ingress_port},bind=127.0.0.1,reuseaddr,fork", f"TCP:{INGRESS_ADDRESS}:80"],
        POLICY_AGENT: [sys.executable, "-m", "lab.netpol_agent"],
    }
    for name, command in programs.items():
        if not process.recorded(folder, name):
            environment = {"FIBLAB_HOME": str(settings.home), "FIBLAB_NODES": str(settings.node_count)}
            process.start(name, command, folder, settings.logs / f"{name}.log", env=environment, cwd=REPOSITORY)
            changed = True
    return changed


def registered_nodes(settings: Settings) -> list[str]:
    """Names of the Node objects."""
    return kubectl(settings, "get", "nodes", "--output=name", check=False).split()


def ready_nodes(settings: Settings) -> list[str]:
    """Names of the nodes whose Ready condition is True."""
    path = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    lines = kubectl(settings, "get", "nodes", "-o", f"jsonpath={path}", check=False).split()
    return [line.split("=")[0] for line in lines if line.endswith("=True")]


def metrics_api_answers(settings: Settings) -> bool:
    """True once the metrics API has figures of every node."""
    text = kubectl(settings, "get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes", check=False)
    return bool(text) and len(json.loads(text)["items"]) >= settings.node_count


def _wait_ready(settings: Settings, begin: float | None) -> None:
    def tell(what: str) -> None:
        if begin is not None:
            say(f"{what} ({time.monotonic() - begin:.1f} s after the start)")

    process.wait_for(
        f"{settings.node_count} registered nodes", lambda: len(registered_nodes(settings)) >= settings.node_count, _READY_SECONDS
    )
    controlplane.nodes_registered(settings).touch()
    process.wait_for(f"{settings.node_count} nodes Ready", lambda: len(ready_nodes(settings)) >= settings.node_count, _READY_SECONDS, 0.3)
    tell(f"{settings.node_count} nodes Ready")
    for what in ("kube-system/coredns", "traefik/traefik"):
        namespace, name = what.split("/")
        kubectl(settings, "rollout", "status", f"--namespace={namespace}", f"deployment/{name}", f"--timeout={_READY_SECONDS}s")
    tell("CoreDNS and Traefik ready")


def wait_for_metrics(settings: Settings) -> None:
    """Return when the metrics API has figures of every node: some ten seconds after the nodes, and only autoscaling needs them."""
    process.wait_for("the metrics API", lambda: metrics_api_answers(settings), _READY_SECONDS, 0.3)


def down(settings: Settings) -> bool:
    """Stop the lab, whatever is left of it, and leave nothing behind; True if there was something."""
    with _changing(settings):
        if not settings.run.exists():
            return False  # what there is on the machine belongs to a lab with another FIBLAB_HOME
        folder = settings.run / "processes"
        for record in sorted(folder.glob("*.json")):
            process.end(folder, record.stem)
        cgroups.remove()
        network.disconnect_host()
        # Last: as long as it is there, an interrupted `down` can be repeated.
        _remove_state(settings)
        return True


def _remove_state(settings: Settings) -> None:
    """Delete the state of a stopped lab: renamed first, so that an interruption leaves no half of it for the next `up`."""
    trash = settings.home / "trash"
    process.run("rm", "-rf", trash)  # of a `down` that was interrupted
    if settings.run.exists():
        settings.run.rename(trash)
        # Some hundred thousand hard links: `rm` is several times faster than Python.
        process.run("rm", "-rf", trash)


def node_kill(settings: Settings, number: int) -> None:
    """Cut a node's power: all its processes are gone at once, its disk stays."""
    node.kill(settings, _node(settings, number))


def node_start(settings: Settings, number: int) -> None:
    """Start a killed node; it comes back with its images, volumes and pods."""
    each = _node(settings, number)
    if not node.is_running(settings, each):
        node.launch(settings, each)
        node.connect(settings, each)


def _node(settings: Settings, number: int) -> Node:
    if not 1 <= number <= settings.node_count:
        raise LabError(f"the lab has the nodes 1 to {settings.node_count}, not {number}")
    if not namespaces.is_running(settings, controlplane.NAME):
        raise LabError("the lab is not up: `python -m lab up`")
    return Node(number)


def reload_images(settings: Settings, early: Callable[[], None] = lambda: None) -> list[str]:
    """Rebuild what changed and load it into the running nodes; the names of the images that were loaded.

    `early` is called as soon as the control plane's programs are there.
    """
    before = store.imported(settings)
    builder.prepare(settings, early)
    after = store.imported(settings)
    changed = [key for key, value in after.items() if key != "containerd" and before.get(key) != value]
    if changed:
        loading.into_nodes(settings, changed)
    return changed


def environment(settings: Settings) -> dict[str, str]:
    """What a shell or a test needs to use the lab, KUBECONFIG first."""
    return {"KUBECONFIG": str(settings.kubeconfig), "FIBLAB_HOME": str(settings.home), "FIBLAB_NODES": str(settings.node_count)}


def run_with(settings: Settings, command: list[str]) -> int:
    """Run a command with the lab up; a lab that was not up before is taken down after it."""
    was_up = namespaces.is_running(settings, controlplane.NAME)
    try:
        up(settings)
        wait_for_metrics(settings)
        path = f"{settings.bin}:{os.environ.get('PATH', '')}"
        return subprocess.run(command, env={**os.environ, **environment(settings), "PATH": path}, check=False).returncode
    finally:
        if not was_up:
            with suppress(LabError):
                down(settings)
