"""A recorded process is found and ended only while it is that very process."""

from __future__ import annotations

import json
from pathlib import Path

from lab import process


def test_started_found_and_ended(tmp_path: Path) -> None:
    record = process.start("sleeper", ["sleep", "1000"], tmp_path, tmp_path / "log")
    assert process.recorded(tmp_path, "sleeper") == record
    assert process.end(tmp_path, "sleeper")
    assert not process.is_alive(record)
    assert process.recorded(tmp_path, "sleeper") is None


def test_a_pid_that_now_belongs_to_another_is_left_alone(tmp_path: Path) -> None:
    record = process.start("sleeper", ["sleep", "1000"], tmp_path, tmp_path / "log")
    file = tmp_path / "sleeper.json"
    original = file.read_text()
    for change in ({"command": ["sleep", "999"]}, {"started": "1"}):
        file.write_text(json.dumps({**json.loads(original), **change}))
        assert not process.end(tmp_path, "sleeper")
        assert process.is_alive(record)
    file.write_text(original)
    assert process.end(tmp_path, "sleeper")


def test_a_broken_record_is_no_process(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    assert process.recorded(tmp_path, "x") is None
