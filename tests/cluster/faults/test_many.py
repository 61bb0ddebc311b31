"""Many pipelines at once."""

from collections import Counter
from pathlib import Path

from tests.cluster.conftest import OperatorProcess
from tests.cluster.faults.conftest import Stage
from tests.waiting import eventually


def test_row_25_a_bad_one_among_fifty_delays_none(operator: OperatorProcess, stage: Stage) -> None:
    for number in range(50):
        stage.create({"worker": {"nodeSelector": {"no label!": "x"}}} if number == 10 else {}, name=f"p{number}")

    def reasons() -> Counter[str]:
        conditions = [condition for pipeline in stage.pipelines() for condition in pipeline.get("status", {}).get("conditions", [])]
        return Counter(condition["reason"] for condition in conditions if condition["type"] == "Ready")

    eventually(lambda: reasons() == {"WaitingForBroker": 49, "Refused": 1}, "all to be made, but for the bad one", seconds=120, interval=1)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{operator.pid}/status").read_text().splitlines())
    assert int(status["Threads"]) < 32
    assert int(status["VmRSS"].split()[0]) < 256 * 1024, "in KiB"
