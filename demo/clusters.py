"""Where the demo runs: the lab of this repository, kind, or the cluster that kubectl points at."""

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass

IMAGES = {"operator": "fibpipeline.invalid/operator:0.1.0", "app": "fibpipeline.invalid/app:0.1.0"}
KIND_CLUSTER = "fibpipeline"


@dataclass(frozen=True)
class Target:
    """A cluster that is up and has the images: its environment for kubectl, and the address of its Ingress, if it is known."""

    env: dict[str, str]
    address: str


def choose(name: str) -> str:
    """`lab`, `kind` or `current`; an empty name means kind where Docker and kind are there, else the lab. Exits on another name."""
    if name in ("lab", "kind", "current"):
        return name
    if name:
        sys.exit(f"CLUSTER={name} is none of lab, kind, current.")
    return "kind" if shutil.which("kind") and _docker_runs() else "lab"


def bring_up(name: str) -> Target:
    """Start the cluster if need be, build the images and put them into it."""
    return {"lab": _lab, "kind": _kind, "current": _current}[name]()


def take_down(name: str) -> bool:
    """Remove the cluster if the demo made it. Returns False when it belongs to the user and stays."""
    if name == "lab":
        _run(sys.executable, "-m", "lab", "down")
    elif name == "kind":
        _run("kind", "delete", "cluster", "--name", KIND_CLUSTER)
    return name != "current"


def connect(name: str) -> Target:
    """The chosen cluster as it is, without starting anything."""
    if name == "lab":
        exports = subprocess.run([sys.executable, "-m", "lab", "env"], capture_output=True, text=True, check=True).stdout
        script = exports + 'printf "%s\\n%s" "$KUBECONFIG" "$PATH"'
        kubeconfig, path = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split("\n")
        return Target({"KUBECONFIG": kubeconfig, "PATH": path}, "http://localhost:8080")
    return Target({}, "")


def _lab() -> Target:
    _run(sys.executable, "-m", "lab", "up")
    return connect("lab")


def _kind() -> Target:
    for target, image in IMAGES.items():
        _run("docker", "build", "--target", target, "--tag", image, ".")
    clusters = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True).stdout.split()
    if KIND_CLUSTER not in clusters:
        _run("kind", "create", "cluster", "--name", KIND_CLUSTER)
    _run("kind", "load", "docker-image", "--name", KIND_CLUSTER, *IMAGES.values())
    _run("kubectl", "config", "use-context", f"kind-{KIND_CLUSTER}")
    return connect("kind")


def _current() -> Target:
    context = subprocess.run(["kubectl", "config", "current-context"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"Using the current context: {context}. Its nodes must be able to pull {' and '.join(IMAGES.values())}.", flush=True)
    return connect("current")


def _docker_runs() -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    print(f"$ {shlex.join(command)}", flush=True)
    done = subprocess.run(command, check=False)
    if done.returncode:
        sys.exit(f"That failed with exit code {done.returncode}; what it printed above says why.")
