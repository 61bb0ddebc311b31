"""A pipeline, the operator that sees it through the breaking proxy only, and what a run without faults ends in."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.bare import BareControlPlane
from tests.cluster.conftest import Namespace, OperatorProcess, _masked
from tests.cluster.kubectl import Kubectl
from tests.cluster.proxy import Call, Proxy
from tests.waiting import eventually


@pytest.fixture(scope="session")
def proxy(control_plane: BareControlPlane) -> Iterator[Proxy]:
    """The proxy before the API server."""
    with Proxy(control_plane.url) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def proxied_kubeconfig(control_plane: BareControlPlane, operator_kubeconfig: Path, proxy: Proxy, tmp_path_factory: Any) -> Path:
    """The operator's login, by way of the proxy."""
    token = json.loads(operator_kubeconfig.read_text())["users"][0]["user"]["token"]
    path: Path = tmp_path_factory.mktemp("proxied") / "kubeconfig"
    control_plane.write_kubeconfig(path, token, proxy.url)
    return path


@pytest.fixture(scope="session")
def _operator(proxied_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    process = OperatorProcess(proxied_kubeconfig, tmp_path_factory.mktemp("operator") / "operator.log")
    yield process
    process.kill()


@pytest.fixture
def operator(_operator: OperatorProcess) -> OperatorProcess:
    """A running operator behind the proxy, the one of the test before if it still runs."""
    return _operator if _operator.is_alive() else _operator.start()


@pytest.fixture
def stopped_operator(_operator: OperatorProcess) -> OperatorProcess:
    """An operator behind the proxy that does not run."""
    _operator.kill()
    return _operator


@pytest.fixture
def impatient(stopped_operator: OperatorProcess, proxied_kubeconfig: Path, tmp_path: Path) -> Iterator[OperatorProcess]:
    """A running operator behind the proxy that waits two seconds where it should wait a minute; the other one does not run."""
    process = OperatorProcess(proxied_kubeconfig, tmp_path / "operator.log", (str(Path(__file__).with_name("impatient.py")),))
    yield process.start()
    process.kill()


class Stage(Namespace):
    """A namespace with at most one pipeline, `demo`, and the proxy through which the operator sees it."""

    def __init__(self, kubectl: Kubectl, api: httpx.Client, name: str, proxy: Proxy) -> None:
        super().__init__(kubectl, api, name)
        self._proxy = proxy

    def writes(self) -> list[Call]:
        """The operator's writes in this namespace so far."""
        return self._proxy.writes(self.name)

    def picture(self) -> dict[str, Any]:
        """Everything that the operator makes of the spec: its children and the status, without what differs between two equal runs."""
        try:
            status = self.pipeline().get("status", {})
            seen = {**_masked(self.children()), "status": status}
        except httpx.HTTPError:  # there is no pipeline, or no such kind
            return {}
        for condition in status.get("conditions", []):
            del condition["lastTransitionTime"], condition["observedGeneration"]
        status.pop("observedGeneration", None)
        return dict(json.loads(json.dumps(seen, sort_keys=True).replace(self.name, "NAMESPACE")))

    def becomes(self, expected: dict[str, Any], seconds: float = 30) -> None:
        """Wait until the picture is the expected one."""
        differences = ["no look yet"]

        def equal() -> bool:
            now = self.picture()
            differences[:] = [
                f"{key}: {json.dumps(now.get(key))[:700]} instead of {json.dumps(expected.get(key))[:700]}"
                for key in sorted({*now, *expected})
                if now.get(key) != expected.get(key)
            ]
            return not differences

        try:
            eventually(equal, "the pipeline to be as after a run without faults", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: " + "\n".join(differences)[:3000]) from None

    def stays_through_restarts(self, operator: OperatorProcess) -> None:
        """Assert that two complete resyncs write nothing: the operator is killed and started again."""
        before, status = len(self.writes()), self.pipeline()["status"]
        for _ in range(2):
            operator.kill()
            operator.start()
            eventually(lambda: has_looked_at(operator, 1), "a pass after the restart")
            assert self.writes()[before:] == [], f"{json.dumps(status)} became {json.dumps(self.pipeline()['status'])}"


def has_looked_at(operator: OperatorProcess, pipelines: int) -> bool:
    """Whether at least so many passes have ended since its start, and no pipeline waits for one."""
    totals: dict[str, float] = {}
    for line in httpx.get(f"http://127.0.0.1:{operator.metrics_port}/metrics").text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.partition(" ")
            family = name.partition("{")[0]
            totals[family] = totals.get(family, 0.0) + float(value)
    known = totals["fibpipeline_pipelines"]
    ended = totals.get("fibpipeline_reconcile_total", 0.0)
    return known >= pipelines and ended >= known and totals["fibpipeline_queue_length"] == 0


@pytest.fixture
def stage(kubectl: Kubectl, api: httpx.Client, proxy: Proxy) -> Iterator[Stage]:
    """A stage of the test's own; afterwards its pipeline is gone."""
    stage = new_stage(kubectl, api, proxy)
    yield stage
    remove(stage)


def new_stage(kubectl: Kubectl, api: httpx.Client, proxy: Proxy) -> Stage:
    """An empty stage."""
    name = f"f-{secrets.token_hex(4)}"
    api.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    return Stage(kubectl, api, name, proxy)


def remove(stage: Stage) -> None:
    """Delete a stage, its pipeline at once: no later test may find it."""
    stage.kubectl("delete", "fib", "--all", "--ignore-not-found")
    stage.kubectl("delete", "namespace", stage.name, "--wait=false")


@pytest.fixture(scope="session")
def clean(kubectl: Kubectl, api: httpx.Client, proxy: Proxy, _operator: OperatorProcess) -> dict[str, Any]:
    """The picture after a run without faults."""
    stage = new_stage(kubectl, api, proxy)
    stage.apply()
    _operator.start()
    pictures: list[dict[str, Any]] = [{}]

    def unchanged() -> dict[str, Any]:
        pictures.append(stage.picture())
        return pictures[-1] if pictures[-1] == pictures[-2] and stage.converged() else {}

    try:
        return eventually(unchanged, "a run without faults", interval=1)
    finally:
        _operator.kill()
        remove(stage)
