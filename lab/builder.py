"""Everything the lab is made of, built side by side: Go programs, images, and, as soon as its programs are there, a first start.

The compiler keeps the cores busy, the images wait for the network most of the time, so they share the machine well. All but the Go programs
needs the Debian packages first:

    Go programs      kube ... containerd ... traefik ... runc ...
    stand-ins        python, rabbitmq, postgres
    project images            operator, app
    system images    pause             coredns (waits for its program)  traefik
    image store                          (waits for containerd) everything so far ... the rest
    early start                (waits for etcd and kube)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from lab import cache, golang, images, parts, preflight, store
from lab.console import say
from lab.settings import LabError, Settings

_LAST = "traefik"
"""The system image whose program is linked last: the image store is filled with the others meanwhile."""


class Gate:
    """Lets those pass who wait for a program, as soon as it is built."""

    def __init__(self, missing: Iterable[str]) -> None:
        """`missing` are the programs that are still to be built."""
        self._missing = set(missing)
        self._broken = False
        self._changed = threading.Condition()

    def opened(self, program: str) -> None:
        """The program is there."""
        with self._changed:
            self._missing.discard(program)
            self._changed.notify_all()

    def give_up(self) -> None:
        """Nothing more will be built: whoever waits gets a LabError."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()

    def pass_with(self, programs: Iterable[str]) -> None:
        """Return when all of `programs` are there. Raises LabError if the build ended without them."""
        needed = set(programs)
        with self._changed:
            self._changed.wait_for(lambda: self._broken or not needed & self._missing)
            if needed & self._missing:
                raise LabError(f"not built, because another part failed: {', '.join(sorted(needed & self._missing))}")


def prepare(settings: Settings, early: Callable[[], None] = lambda: None) -> bool:
    """Build what is missing; True if something was. `early` is called as soon as the control plane's programs are there.

    Shows the table of all parts when it is done. Interrupted, the next call goes on where this one ended.
    """
    preflight.check()
    settings.home.mkdir(parents=True, exist_ok=True)
    with cache.locked(settings.home / "locks" / "build", lambda: say("waiting: another build is running")):
        parts.begin()
        built = _build(settings, early)
    if built:
        say("\n".join(["the parts of this build (`python -m lab status` shows them again):", *parts.table(settings)]))
    return built


def _build(settings: Settings, early: Callable[[], None]) -> bool:
    todo = [program.name for program in golang.missing(settings)]
    gate = Gate(todo)
    built: list[str] = []

    with ThreadPoolExecutor(9) as pool:
        packages = pool.submit(preflight.install_packages)
        go = golang.Build(settings, gate.opened, packages.result)

        def system(key: str) -> None:
            packages.result()
            gate.pass_with(images.binaries(key))
            built.extend(images.ensure(settings, [key]))

        def stand_ins() -> None:
            packages.result()
            built.extend(images.ensure(settings, images.STAND_INS))

        def project() -> None:
            packages.result()
            images.ensure(settings, ["python"])
            built.extend(images.ensure_project(settings))

        def start() -> None:
            packages.result()
            gate.pass_with(["etcd", "kube"])
            early()

        compiled = pool.submit(lambda: built.extend(go.run()))
        others = [pool.submit(work) for work in (stand_ins, project)]
        first = [pool.submit(system, key) for key in images.SYSTEM if key != _LAST]
        running = [packages, compiled, *others, *first, pool.submit(start), pool.submit(system, _LAST)]

        def fill_store() -> None:
            gate.pass_with(["containerd", "ctr"])
            wait([*others, *first])
            if store.prepare(settings):
                built.append("store")

        running.append(pool.submit(fill_store))
        _all(running, [go.cancel, gate.give_up])
    if store.prepare(settings):
        built.append("store")
    return bool(built)


def _all(running: list[Future[None]], give_up: Iterable[Callable[[], None]]) -> None:
    """Wait for all; on the first failure, or Ctrl-C, end the others and raise it."""
    try:
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    except BaseException:
        say("stopping: the cause follows when the parts that are being built beside have ended")
        for end in give_up:
            end()
        raise
