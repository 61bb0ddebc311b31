"""Waking a thread that waits, also from a signal handler."""

from queue import Empty, SimpleQueue


class Bell:
    """What waits is woken by a ring.

    A signal handler runs in the midst of whatever its thread does. When that is waiting for a threading.Event, which holds a lock while it
    looks, setting the event waits for that very lock, for ever. A SimpleQueue is made for such callers.
    """

    def __init__(self) -> None:
        self._rings: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """Wake who waits, or let the next wait end at once."""
        self._rings.put(None)

    def wait(self, seconds: float) -> None:
        """Return after a ring, or after `seconds`; rings until now count as one."""
        try:
            self._rings.get(timeout=seconds)
            while True:
                self._rings.get_nowait()
        except Empty:
            return
