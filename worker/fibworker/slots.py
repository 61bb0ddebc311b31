"""What a working process tells its supervisor: a slot of shared memory, written without a system call, readable after a crash.

A torn read does no harm: the store acts only on a job id and token that belong together.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from fibapp.store.claims import Held

ENDINGS = ("done", "failed", "refused", "duplicate", "poison", "unknown")
"""How a message can end, in the order of the counters."""

_NOW = struct.Struct("=B16s16sd")
_COUNTERS = struct.Struct(f"={len(ENDINGS)}Qd")
_COUNTERS_AT = 64
SIZE = 128


class Phase(IntEnum):
    """What the process does."""

    STARTING = 0
    IDLE = 1
    CLAIMING = 2
    COMPUTING = 3
    STORING = 4


@dataclass(frozen=True, slots=True)
class Now:
    """The present state of a process; `since` is the monotonic clock when the job was claimed (the clock is one for all processes)."""

    phase: Phase
    held: Held | None = None
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What the process did since it started."""

    endings: tuple[int, ...] = (0,) * len(ENDINGS)
    seconds: float = 0.0
    """Computing time in all."""


class Slot:
    """The shared memory of one process; the supervisor creates it, the process opens it by its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, SIZE)
        self._counters = Counters()

    @classmethod
    def create(cls) -> "Slot":
        """A fresh slot: STARTING, all counters zero."""
        descriptor = os.memfd_create("fibworker-slot", 0)
        os.truncate(descriptor, SIZE)
        return cls(descriptor)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        os.close(self.descriptor)

    def write(self, now: Now) -> None:
        """Say what the process does now."""
        held = now.held
        _NOW.pack_into(self._memory, 0, now.phase, held.job_id.bytes if held else b"", held.token.bytes if held else b"", now.since)

    def read(self) -> Now:
        """What the process does."""
        phase, job_id, token, since = _NOW.unpack_from(self._memory)
        return Now(Phase(phase), Held(UUID(bytes=job_id), UUID(bytes=token)) if any(token) else None, since)

    def count(self, ending: str, seconds: float) -> None:
        """Count one message that ended as `ending` after `seconds` of computing."""
        position = ENDINGS.index(ending)
        endings = self._counters.endings
        self._counters = Counters((*endings[:position], endings[position] + 1, *endings[position + 1 :]), self._counters.seconds + seconds)
        _COUNTERS.pack_into(self._memory, _COUNTERS_AT, *self._counters.endings, self._counters.seconds)

    def counters(self) -> Counters:
        """What the process did so far."""
        *endings, seconds = _COUNTERS.unpack_from(self._memory, _COUNTERS_AT)
        return Counters(tuple(endings), seconds)
