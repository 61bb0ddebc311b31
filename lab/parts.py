"""The parts of a build: announced with the time they took last, remembered, and shown as a table."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.console import say
from lab.settings import Settings

_lock = threading.Lock()
_build_began: float | None = None


def _note(settings: Settings) -> Path:
    return settings.home / "build-times.json"


def _read(settings: Settings) -> dict[str, Any]:
    try:
        noted: dict[str, Any] = json.loads(_note(settings).read_text())
    except (OSError, ValueError):
        return {}
    return noted


def begin() -> None:
    """The next part that ends is the first of a new table."""
    global _build_began
    _build_began = time.time()


def last_seconds(settings: Settings, name: str) -> float | None:
    """What the part took the last time it was built on this machine; None if it never was."""
    seconds: float | None = _read(settings).get("last", {}).get(name)
    return seconds


def remember(settings: Settings, name: str, began: float, ended: float) -> None:
    """Note a part that is done; `began` and `ended` are seconds since the epoch."""
    global _build_began
    with _lock:
        noted = _read(settings)
        if _build_began is not None:
            noted["build"], _build_began = {"began": _build_began, "parts": []}, None
        noted.setdefault("last", {})[name] = ended - began
        noted.setdefault("build", {"began": began, "parts": []})["parts"].append([name, began, ended])
        fresh = _note(settings).with_suffix(".new")
        fresh.write_text(json.dumps(noted, indent=1))
        fresh.rename(_note(settings))


@contextmanager
def part(settings: Settings, name: str) -> Iterator[None]:
    """Announce a part with its last time, then say and note what it took."""
    before = last_seconds(settings, name)
    say(f"{name} ..." + (f" (last time {duration(before)})" if before is not None else ""))
    began = time.time()
    yield
    ended = time.time()
    say(f"{name}: done in {duration(ended - began)}")
    remember(settings, name, began, ended)


def duration(seconds: float) -> str:
    """Seconds as a person reads them: "8.0 s", "4 min 10 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def table(settings: Settings) -> list[str]:
    """The parts of the last build with when each began and what it took, and the whole; no line before the first build."""
    build = _read(settings).get("build")
    if not build:
        return []
    rows = sorted(build["parts"], key=lambda row: row[1])
    lines = [f"  {'part':<52} {'began after':>13} {'took':>13}"]
    lines += [f"  {name:<52} {duration(began - build['began']):>13} {duration(ended - began):>13}" for name, began, ended in rows]
    whole = max(ended for _, _, ended in rows) - build["began"]
    return [*lines, f"  {'the whole (parts run side by side)':<52} {'':>13} {duration(whole):>13}"]
