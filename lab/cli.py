"""Command line of the lab."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from lab import builder, cluster, status
from lab.console import say, step
from lab.settings import LabError, Settings

_SETTINGS = """\
settings (environment):
  FIBLAB_HOME                      caches and state (default ~/.cache/fibpipeline-lab); never inside the checkout
  FIBLAB_NODES                     number of nodes (default 5)
  FIBLAB_INGRESS_PORT              port of the Ingress on localhost (default 8080)
  FIBLAB_APISERVER_FLAGS           more flags for kube-apiserver, at the next `up` after a `down`
  FIBLAB_CONTROLLER_MANAGER_FLAGS  the same for kube-controller-manager
The API server writes an audit log (requests of people and pods): `python -m lab logs audit`.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it went well, 1 with a message in words if not."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_environment(getattr(options, "nodes", None))
        code: int = options.action(settings, options)
        sys.stdout.flush()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nlab: interrupted; `python -m lab up` goes on from here, `python -m lab down` cleans up", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description="A real multi-node Kubernetes on this machine, built from packages: no docker, no registry.",
        epilog=_SETTINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, action: Callable[[Settings, argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(action=action)
        return command

    add("up", _up, "build what is missing and bring the cluster up (again and again is fine)").add_argument(
        "--nodes", type=int, help="number of nodes (default 5, or FIBLAB_NODES)"
    )
    add("down", _down, "stop the cluster and leave nothing behind but the caches")
    add("status", _status, "nodes, components, images and URLs in words")
    add("env", _env, "print the exports for a shell: eval $(python -m lab env)")
    add("images", _images, "rebuild the images whose sources changed and load them into the running nodes")
    add("build", _build, "build everything without starting anything")
    run = add("run", _run, "run a command with the cluster up; what was not up before is taken down after it")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    for name, action, text in (
        ("node-kill", _node_kill, "end everything on a node at once, as a power cut would"),
        ("node-start", _node_start, "start a killed node again, with its volumes"),
    ):
        add(name, action, text).add_argument("number", type=int, metavar="N", help="number of the node, 1 for node-1")
    add("logs", _logs, "print a component's log (without a name: list them)").add_argument("component", nargs="?", default="")
    return parser


def _up(settings: Settings, _: argparse.Namespace) -> int:
    changed = cluster.up(settings)
    say("the lab is up" if changed else "the lab was up already, nothing changed")
    print(f"\nIngress:    http://localhost:{settings.ingress_port}\nkubectl:    eval $({sys.executable} -m lab env)", file=sys.stderr)
    return 0


def _down(settings: Settings, _: argparse.Namespace) -> int:
    with step("stopping the lab"):
        found = cluster.down(settings)
    say("the lab is down" if found else "the lab was not up")
    return 0


def _status(settings: Settings, _: argparse.Namespace) -> int:
    print(status.text(settings))
    return 0


def _env(settings: Settings, _: argparse.Namespace) -> int:
    for name, value in cluster.environment(settings).items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"export PATH={shlex.quote(str(settings.bin))}:$PATH")
    return 0


def _images(settings: Settings, _: argparse.Namespace) -> int:
    loaded = cluster.reload_images(settings)
    say(f"loaded: {', '.join(loaded)}" if loaded else "every image is as its sources are, nothing to load")
    return 0


def _build(settings: Settings, _: argparse.Namespace) -> int:
    say("built" if builder.prepare(settings) else "everything was built already")
    return 0


def _run(settings: Settings, options: argparse.Namespace) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise LabError("give a command: python -m lab run -- pytest tests/e2e")
    return cluster.run_with(settings, command)


def _node_kill(settings: Settings, options: argparse.Namespace) -> int:
    with step(f"killing node-{options.number}"):
        cluster.node_kill(settings, options.number)
    return 0


def _node_start(settings: Settings, options: argparse.Namespace) -> int:
    with step(f"starting node-{options.number}"):
        cluster.node_start(settings, options.number)
    return 0


def _logs(settings: Settings, options: argparse.Namespace) -> int:
    file = settings.logs / f"{options.component}.log"
    if options.component and file.exists():
        with file.open(errors="replace") as lines:
            for line in lines:
                sys.stdout.write(line)
        return 0
    names = sorted(path.stem for path in settings.logs.glob("*.log"))
    if options.component:
        raise LabError(f"no log of {options.component!r}; there are: {', '.join(names) or 'none, the lab is not up'}")
    print("\n".join(names) or f"no logs: the lab is not up (build logs: {settings.home / 'build-logs'})", file=sys.stdout)
    return 0
