"""Waiting longer after each failure in a row."""


class Backoff:
    """Waits that double from `first` to `longest` seconds until something succeeds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def next(self) -> float:
        """The wait, in seconds, after one more failure."""
        wait = min(self._first * 2.0**self._failures, self._longest)
        if wait < self._longest:
            self._failures += 1
        return wait

    def reset(self) -> None:
        """Something succeeded."""
        self._failures = 0
