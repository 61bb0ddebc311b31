"""The parts of a build: remembered, announced with their last time, shown as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import parts
from lab.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_a_part_is_announced_with_the_time_it_took_last(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with parts.part(settings, "image a"):
        pass
    assert "last time" not in capsys.readouterr().err
    parts.remember(settings, "image a", 100.0, 342.0)
    with parts.part(settings, "image a"):
        pass
    assert "image a ... (last time 4 min 2 s)" in capsys.readouterr().err


def test_a_part_that_fails_is_not_remembered(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), parts.part(settings, "image a"):
        raise ZeroDivisionError
    assert parts.last_seconds(settings, "image a") is None
    assert parts.table(settings) == []


def test_the_table_holds_the_parts_of_the_last_build_and_the_whole(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.remember(settings, "of an older build", 0.0, 10.0)
    monkeypatch.setattr("time.time", lambda: 1000.0)
    parts.begin()
    parts.remember(settings, "late", 1005.0, 1065.0)
    parts.remember(settings, "early", 1000.0, 1008.5)
    title, first, second, whole = parts.table(settings)
    assert title.split() == ["part", "began", "after", "took"]
    assert first.split() == ["early", "0.0", "s", "8.5", "s"]
    assert second.split() == ["late", "5.0", "s", "1", "min", "0", "s"]
    assert whole.endswith("1 min 5 s")


def test_a_build_that_builds_nothing_leaves_the_table(settings: Settings) -> None:
    parts.remember(settings, "image a", 0.0, 10.0)
    before = parts.table(settings)
    parts.begin()
    assert parts.table(settings) == before
