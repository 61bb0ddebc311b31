"""Repairs that somebody undoes again and again: they become rarer, and the condition `Contested` names the other writer.

A child that was edited or deleted is repaired at once, some times in a row. When each repair is undone within a minute, another controller
wants something else of that child, and repairing at the speed of the API server would only roll pods for ever. It ends when a repair lasts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from . import names
from .applied import stands_in
from .children import PipelineKey
from .resources.objects import Object
from .status import Problem

FREE_REPAIRS: Final = 5
UNDONE_SECONDS: Final = 60.0
PAUSE_BASE_SECONDS: Final = 10.0
PAUSE_CAP_SECONDS: Final = 300.0

EDITED: Final = "edited"
DELETED: Final = "deleted"


@dataclass
class _Fight:
    wanted: str
    """What was written last, as a fingerprint: another one is a decision of our own, no repair."""
    last: float
    repairs: int = 0
    cause: str = ""

    @property
    def contested(self) -> bool:
        return self.repairs >= FREE_REPAIRS

    @property
    def pause(self) -> float:
        """For how long after the last repair there is no other."""
        return min(PAUSE_BASE_SECONDS * 2.0 ** (self.repairs - FREE_REPAIRS), PAUSE_CAP_SECONDS) if self.contested else 0.0

    @property
    def over_at(self) -> float:
        """When a repair has lasted long enough."""
        return self.last + max(self.pause, UNDONE_SECONDS)


@dataclass(frozen=True)
class Contest:
    """A fight as a pass reports it."""

    problem: Problem
    retry: float
    """The delay in seconds until the next repair, or until it is over."""


class Contention:
    """The latest writes to each child. It is forgotten with the process: then a fight begins anew, with some repairs at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fights: dict[PipelineKey, dict[tuple[str, str, str], _Fight]] = {}

    def is_due(self, pipeline: PipelineKey, child: Object, how: str) -> bool:
        """Whether a child that is not as it should be may be written now. `how` is EDITED or DELETED."""
        fight = self._fight(pipeline, child, how)
        return fight is None or fight.wanted != _fingerprint(child) or self._clock() >= fight.last + fight.pause

    def is_contested(self, pipeline: PipelineKey, child: Object, how: str) -> bool:
        """Whether the next repair of this child is one of many: worth a look at who undid the last."""
        fight = self._fight(pipeline, child, how)
        return fight is not None and fight.repairs >= FREE_REPAIRS - 1 and fight.wanted == _fingerprint(child)

    def blame(self, pipeline: PipelineKey, child: Object, live: Object | None) -> None:
        """Note who undid the last repair of a child, by the object as it is; None when it was deleted."""
        how = DELETED if live is None else EDITED
        if fight := self._fight(pipeline, child, how):
            fight.cause = cause(child, live)

    def repaired(self, pipeline: PipelineKey, child: Object, how: str, made: Object) -> None:
        """A child was written, and is `made` since then."""
        now, fights = self._clock(), self._fights.setdefault(pipeline, {})
        key, fingerprint = (child["kind"], child["metadata"]["name"], how), _fingerprint(child)
        fight = fights.get(key)
        if fight is None:
            fights[key] = _Fight(fingerprint, now)
            return
        if not stands_in(child, made):
            return  # an admission webhook had its way at once: to write it again undoes nothing
        if fight.wanted != fingerprint or now > fight.last + fight.pause + UNDONE_SECONDS:
            fights[key] = _Fight(fingerprint, now, repairs=0 if fight.wanted != fingerprint else 1)
            return
        fight.repairs, fight.last = fight.repairs + 1, now

    def settle(self, pipeline: PipelineKey, differing: set[tuple[str, str]]) -> Contest | None:
        """End what is over; returns the first fight that is not. `differing` are the kinds and names of children to be repaired."""
        now, fights = self._clock(), self._fights.get(pipeline, {})
        for key, fight in [*fights.items()]:
            if key[:2] not in differing and now >= fight.over_at:
                del fights[key]
        going_on = [(key, fight) for key, fight in sorted(fights.items()) if fight.contested]
        if not going_on:
            return None
        waits = [(fight.last + fight.pause if key[:2] in differing else fight.over_at) - now for key, fight in going_on]
        (kind, name, _), fight = going_on[0]
        look = f"kubectl -n {pipeline[0]} get {kind.lower()} {name} -o yaml --show-managed-fields"
        return Contest(
            Problem(
                "Contested",
                f"{kind} {name} is changed by two: {fight.cause}. The operator repairs it with pauses of up to "
                f"{PAUSE_CAP_SECONDS / 60:.0f} minutes. Stop that writer, or have the spec say what it wants; see {look}.",
            ),
            max(1.0, min(waits)),
        )

    def forget(self, pipeline: PipelineKey) -> None:
        """The pipeline is gone, or another's."""
        self._fights.pop(pipeline, None)

    def _fight(self, pipeline: PipelineKey, child: Object, how: str) -> _Fight | None:
        return self._fights.get(pipeline, {}).get((child["kind"], child["metadata"]["name"], how))


def cause(wanted: Object, live: Object | None) -> str:
    """Who undid a repair and where, from the managed fields of the object as it is; None when it was deleted."""
    if live is None:
        return "somebody deletes it again and again (the API server's audit log has who)"
    path = difference(wanted, live) or ()
    field = ".".join(path)
    who = writer(live, path)
    if not who:
        return f"{field} is set again and again under the operator's own name: by another operator that holds no Lease, or by a webhook"
    return f"{field} is set again and again by {who}"


def difference(wanted: Any, live: Any, path: tuple[str, ...] = ()) -> tuple[str, ...] | None:
    """The path of the first field that differs, down to a list or value; the fingerprint comes last. None when all of it stands in."""
    if stands_in(wanted, live):
        return None
    if not isinstance(wanted, dict) or not isinstance(live, dict):
        return path
    found = [inner for key, value in wanted.items() if (inner := difference(value, live.get(key), (*path, key))) is not None]
    return min(found, key=lambda inner: inner[-1] == names.APPLIED, default=path)


def writer(live: Object, path: tuple[str, ...]) -> str:
    """The field manager other than the operator that was the last to write a field; empty when there is none."""
    entries = [
        entry
        for entry in live["metadata"].get("managedFields", [])
        if entry["manager"] != names.MANAGER and _owns(entry.get("fieldsV1", {}), path)
    ]
    return str(max(entries, key=lambda entry: str(entry.get("time", "")))["manager"]) if entries else ""


def _owns(fields: Object, path: tuple[str, ...]) -> bool:
    for key in path:
        if f"f:{key}" not in fields:
            return False
        fields = fields[f"f:{key}"]
    return bool(path)


def _fingerprint(child: Object) -> str:
    return str(child["metadata"]["annotations"][names.APPLIED])
