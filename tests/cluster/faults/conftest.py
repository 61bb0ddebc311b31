"""A pipeline, the operator that sees it through the breaking proxy only, and what a run without faults ends in."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.bare import BareControlPlane
from tests.cluster.conftest import Namespace, OperatorProcess, _masked, with_own_host
from tests.cluster.kubectl import Kubectl
from tests.cluster.loads import LoadServer
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


@pytest.fixture(scope="module")
def _idle() -> Iterator[None]:
    """All pipelines report that they have no work: what the status says of it does not depend on how long they were unreachable."""
    with LoadServer("idle") as loads, pytest.MonkeyPatch.context() as environment:
        environment.setenv("FIBPIPELINE_LOAD_URL", loads.url.format(namespace="idle"))
        yield


@pytest.fixture(scope="module")  # not longer: other modules run an operator of their own
def _operator(_idle: None, proxied_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
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

    def __init__(self, kubectl: Kubectl, api: httpx.Client, proxy: Proxy) -> None:
        super().__init__(kubectl, api, f"f-{secrets.token_hex(4)}")
        self._proxy = proxy
        self._pipelines = f"/apis/fibpipeline.io/v1/namespaces/{self.name}/fibpipelines"
        self._send("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}})

    def create(self, spec: dict[str, Any] | None = None, name: str = "demo") -> None:
        """Create a pipeline."""
        spec = with_own_host(self.name if name == "demo" else f"{name}.{self.name}", spec)  # as `apply` does
        body = {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "metadata": {"name": name}, "spec": spec}
        self._send("POST", self._pipelines, body)

    def delete(self) -> None:
        """Delete all pipelines and return when they are gone: no later pass may find them."""
        self._api.delete(self._pipelines)
        eventually(lambda: self.pipelines() == [], "the pipelines to be gone")

    def pipelines(self) -> list[dict[str, Any]]:
        """All pipelines; none where their kind does not exist."""
        answer = self._api.get(self._pipelines)
        return [] if answer.status_code == 404 else list(answer.raise_for_status().json()["items"])

    def remove(self) -> None:
        """Delete everything; the namespace goes when the garbage collector is through."""
        self.delete()
        self._send("DELETE", f"/api/v1/namespaces/{self.name}")

    def _send(self, method: str, path: str, body: Any = None) -> None:
        self._api.request(method, path, json=body).raise_for_status()

    def writes(self) -> list[Call]:
        """The operator's writes in this namespace so far."""
        return self._proxy.writes(self.name)

    def picture(self) -> dict[str, Any]:
        """Everything that the operator makes of the spec: its children and the status, without what differs between two equal runs."""
        return {**self._told(_masked(self.children())), "status": self.status()}

    def status(self) -> dict[str, Any]:
        """The status without times and generations; empty when there is no pipeline."""
        status: dict[str, Any] = next((pipeline.get("status", {}) for pipeline in self.pipelines()), {})
        for condition in status.get("conditions", []):
            del condition["lastTransitionTime"], condition["observedGeneration"]
        status.pop("observedGeneration", None)
        return self._told(status)

    def _told(self, of_this: dict[str, Any]) -> dict[str, Any]:
        return dict(json.loads(json.dumps(of_this, sort_keys=True).replace(self.name, "NAMESPACE")))

    def is_as(self, expected: dict[str, Any]) -> bool:
        """Whether the picture is the expected one; looks at the children only when the status is."""
        return self.status() == expected["status"] and self.picture() == expected

    def becomes(self, expected: dict[str, Any], seconds: float = 60) -> None:
        """Wait until the picture is the expected one."""
        try:
            eventually(lambda: self.is_as(expected), "the pipeline to be as after a run without faults", seconds)
        except AssertionError as error:
            seen = self.picture()
            wrong = [key for key in expected if key in seen and seen[key] != expected[key]]
            details = "".join(f"\n{key}: {json.dumps(seen[key])}\ninstead of {json.dumps(expected[key])}" for key in wrong)
            raise AssertionError(
                f"{error}; missing: {sorted({*expected} - {*seen})}, more: {sorted({*seen} - {*expected})}{details}"
            ) from None

    def stays_through_restarts(self, operator: OperatorProcess) -> None:
        """Assert that two complete resyncs write nothing: the operator is killed and started again."""
        operator.kill()  # before counting: what it had under way has arrived
        before, status = len(self.writes()), self.pipeline()["status"]
        for _ in range(2):
            operator.kill()
            operator.start()
            eventually(lambda: has_looked_at(operator, 1), "a pass after the restart", seconds=60)
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
    stage = Stage(kubectl, api, proxy)
    yield stage
    stage.remove()


@pytest.fixture(scope="module")
def clean(kubectl: Kubectl, api: httpx.Client, proxy: Proxy, _operator: OperatorProcess) -> dict[str, Any]:
    """The picture after a run without faults."""
    stage = Stage(kubectl, api, proxy)
    stage.create()
    _operator.start()
    pictures: list[dict[str, Any]] = [{}]

    def unchanged() -> dict[str, Any]:
        pictures.append(stage.picture())
        return pictures[-1] if pictures[-1] == pictures[-2] and stage.converged() else {}

    try:
        return eventually(unchanged, "a run without faults", interval=1)
    finally:
        _operator.kill()
        stage.remove()
