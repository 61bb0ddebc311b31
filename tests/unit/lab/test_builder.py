"""The gate at which images and the early start wait for programs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.builder import Gate
from lab.settings import LabError


def test_it_is_open_for_what_is_built_already() -> None:
    Gate(["traefik"]).pass_with(["etcd", "kube"])


def test_whoever_waits_passes_when_the_last_of_its_programs_is_there() -> None:
    gate, passed = Gate(["etcd", "kube", "traefik"]), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: (gate.pass_with(["etcd", "kube"]), passed.set()))
        gate.opened("etcd")
        assert not passed.wait(0.05)
        gate.opened("kube")
        waiting.result(10)


def test_whoever_waits_for_what_will_never_come_hears_of_it() -> None:
    gate = Gate(["traefik"])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gate.pass_with, ["traefik"])
        gate.give_up()
        with pytest.raises(LabError, match="another part failed: traefik"):
            waiting.result(10)


def test_after_a_failure_what_was_built_before_still_passes() -> None:
    gate = Gate(["traefik"])
    gate.give_up()
    gate.pass_with(["kube"])
