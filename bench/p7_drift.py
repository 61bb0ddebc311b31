"""P7: a child is deleted or edited by somebody else; how long until it is as the spec says, and with how many writes."""

from statistics import median

from bench.cluster.control import OPERATOR, PEER, Control
from bench.processes import wait_until
from bench.table import Row, figure, quantile, times
from lab.audit import Request

NAMESPACES = [f"drift-{number}" for number in range(25)]
FAULTS_EACH = 4
"""Of each sort, in each namespace: more in a row on one object would be a fight with another controller, which the operator slows down."""
FAULTS = FAULTS_EACH * len(NAMESPACES)
PEER_FAULTS = 6
PATIENCE_SECONDS = 100
"""kopf runs a handler that failed, as the peer's do when two of them meet, again only after a minute."""
SERVICE = "/api/v1/namespaces/{}/services"
TIMER = "bench.peer.timer_operator"


def run(control: Control, _rounds: int) -> list[Row]:
    """The Service of the API is deleted, and edited; the peer's is only deleted: it never sees an edit."""
    control.make_namespaces(NAMESPACES)
    operator = control.start_operator()
    for namespace in NAMESPACES:
        control.make_pipeline(namespace)
    for namespace in NAMESPACES:
        control.wait_observed(namespace)
    control.wait_quiet(OPERATOR)
    mark = control.audit.mark()
    deleted = [_repaired(control, OPERATOR, name, "demo-api", edit=False) for _ in range(FAULTS_EACH) for name in NAMESPACES]
    edited = [_repaired(control, OPERATOR, name, "demo-api", edit=True) for _ in range(FAULTS_EACH) for name in NAMESPACES]
    control.wait_quiet(OPERATOR)
    writes = [request for request in control.audit.since(mark, OPERATOR) if request.writes]
    operator.program.kill()
    peer = _peer(control)
    everything = deleted + edited
    p50, p99, each = median(everything), quantile(everything, 0.99), len(writes) / len(everything)
    faster = median(peer) / median(deleted)
    return [
        Row(
            "P7",
            f"child deleted ({FAULTS}) or edited ({FAULTS}) -> repaired, p50",
            f"{figure(p50 * 1000)} ms (deleted {figure(median(deleted) * 1000)}, edited {figure(median(edited) * 1000)})",
            f"timer operator {figure(median(peer))} s",
            times(faster),
            "<= 30 ms, >= 50x",
            p50 <= 0.03 and faster >= 50,
        ),
        Row("P7", "the same, p99", f"{figure(p99 * 1000)} ms", "", "", "<= 150 ms", p99 <= 0.15),
        Row("P7", "writes a fault", figure(each), "", "", "1", each <= 1),
    ]


def _peer(control: Control) -> list[float]:
    control.api.post(
        f"/apis/bench.io/v1/namespaces/{NAMESPACES[0]}/peerpipelines",
        json={"apiVersion": "bench.io/v1", "kind": "PeerPipeline", "metadata": {"name": "peer"}},
    ).raise_for_status()
    peer = control.start_peer(TIMER)
    wait_until("the peer's children", lambda: control.api.get(f"{SERVICE.format(NAMESPACES[0])}/peer-api").status_code == 200, 60)
    found = [_repaired(control, PEER, NAMESPACES[0], "peer-api", edit=False) for _ in range(PEER_FAULTS)]
    peer.program.kill()
    return found


def _repaired(control: Control, user: str, namespace: str, name: str, *, edit: bool) -> float:
    """Seconds from the end of the fault's request to the end of the operator's, by the API server's clock."""
    mark, path = control.audit.mark(), f"{SERVICE.format(namespace)}/{name}"
    if edit:
        selector = [{"op": "replace", "path": "/spec/selector/app.kubernetes.io~1component", "value": "nobody"}]
        control.api.patch(path, json=selector, headers={"Content-Type": "application/json-patch+json"}).raise_for_status()
    else:
        control.api.delete(path).raise_for_status()
    key = ("services", namespace, name)

    def requests() -> list[Request]:
        return [request for request in control.audit.since(mark) if request.object == key or _creates(request)]

    def _creates(request: Request) -> bool:  # a plain POST has no name in the log
        return request.verb == "create" and request.resource == "services" and request.namespace == namespace

    def mended() -> Request | None:
        return next((request for request in requests() if request.user == user and request.writes and request.code < 300), None)

    repair = wait_until(f"{name} to be repaired", mended, PATIENCE_SECONDS, 0.01)
    fault = next(request for request in requests() if request.user != user)
    return repair.ended - fault.ended
