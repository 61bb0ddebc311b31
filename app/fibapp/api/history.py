"""What the pipeline did lately: a short memory that a page begins its charts with. Pure but for its lock."""

from collections import deque
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

LENGTH = 300
SPACING_SECONDS = 2.0
RATE_SECONDS = 10.0
"""Rates are taken over about this long: shorter would flicker, longer would hide a burst."""


@dataclass(frozen=True, slots=True)
class Point:
    """Figures of one moment; `at` in seconds since 1970, `workers`, `min` and `max` None while the operator does not say."""

    at: float
    queued: int
    running: int
    done: int
    total: int
    workers: int | None = None
    min: int | None = None
    max: int | None = None


class History:
    """The latest points. Grows only while somebody watches."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque(maxlen=LENGTH)
        self._recent: deque[Point] = deque()
        self._lock = Lock()

    def add(self, point: Point) -> None:
        """Keep `point`, and those of the last seconds for the rates."""
        with self._lock:
            if not self._points or point.at - self._points[-1].at >= SPACING_SECONDS:
                self._points.append(point)
            self._recent.append(point)
            while len(self._recent) > 2 and point.at - self._recent[1].at >= RATE_SECONDS:
                self._recent.popleft()

    def rates(self) -> tuple[float, float] | None:
        """Jobs accepted and results stored a second, over the last seconds; None when nobody watched long enough to tell."""
        with self._lock:
            if len(self._recent) < 2:
                return None
            first, last = self._recent[0], self._recent[-1]
        if (seconds := last.at - first.at) < 1:
            return None
        return max(0, last.total - first.total) / seconds, max(0, last.done - first.done) / seconds

    def document(self) -> list[dict[str, Any]]:
        """The points, oldest first."""
        with self._lock:
            return [asdict(point) for point in self._points]
