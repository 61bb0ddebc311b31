"""The way of a job through the pipeline, step by step. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fibapp.jobs import rfc3339
from fibapp.store.view import Details
from fibapp.words import span

Progress = Literal["past", "now", "ahead"]

ENDS = {"failed": "Failed", "cancelled": "Cancelled"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: whether it lies behind, when it was (None: not noted), and a remark."""

    name: str
    progress: Progress
    at: str | None = None
    note: str = ""


def timeline(details: Details) -> list[Step]:
    """Accepted, published, claimed, and how it ended. A moment that nobody noted is not invented."""
    job = details.job
    published, claimed, end = _published(details), _claimed(details), _end(details)
    return [Step("Accepted", "past", rfc3339(job.created_at), "committed to the store"), published, claimed, end]


def _published(details: Details) -> Step:
    job = details.job
    if details.published_at is None:
        if job.state == "queued":
            return Step("Published", "now", note="waiting to be handed to the broker")
        if job.started_at is None:
            return Step("Published", "ahead", note="not noted")
        return Step("Published", "past", note="before the claim; a claim that follows at once leaves no note")
    notes = [_after(job.created_at, details.published_at)]
    if details.publishes > 1:
        notes.append(f"{details.publishes} times, this is the latest")
    elif details.publishes == 0 and job.state == "queued":
        notes.append("for an earlier attempt; to be published again")
    return Step("Published", "past", rfc3339(details.published_at), ", ".join(filter(None, notes)))


def _claimed(details: Details) -> Step:
    job = details.job
    if job.state == "queued":
        note = "an earlier attempt ended without a result; waiting for the next" if job.attempts else "waiting for a free worker"
        return Step("Claimed", "now" if details.published_at else "ahead", note=note)
    if job.started_at is None:
        return Step("Claimed", "ahead", note="never")
    since = details.published_at if details.published_at and details.published_at <= job.started_at else job.created_at
    notes = [_after(since, job.started_at), f"by {job.worker}" if job.worker else ""]
    return Step("Claimed", "past", rfc3339(job.started_at), ", ".join(filter(None, notes)))


def _end(details: Details) -> Step:
    job = details.job
    name = ENDS.get(job.state, "Stored")
    if job.finished_at is None:
        return Step(name, "now" if job.state == "running" else "ahead", note="computing" if job.state == "running" else "")
    return Step(name, "past", rfc3339(job.finished_at), _after(job.started_at or job.created_at, job.finished_at))


def _after(before: datetime, moment: datetime) -> str:
    return f"after {span(max(0.0, (moment - before).total_seconds()))}"
